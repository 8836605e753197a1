"""What a scraper's Accept header asks for, and what it gets where the engine speaks one format only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark_services.sidecar.metrics.negotiate import ASKED_FOR, chosen, preferred
from hallmark_services.sidecar.metrics.scan import Dialect

TEXT, OM = Dialect.TEXT, Dialect.OPENMETRICS
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "asked", "from_text", "from_openmetrics"),
    [
        ("", TEXT, TEXT, OM),
        ("*/*", TEXT, TEXT, OM),
        (PROMETHEUS_3, OM, TEXT, OM),
        ("text/plain", TEXT, TEXT, TEXT),
        ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.1", TEXT, TEXT, OM),
        ("application/openmetrics-text", OM, OM, OM),
        ('APPLICATION/OpenMetrics-Text; Version="1.0.0"', OM, OM, OM),
        ("application/openmetrics-text;version=2.0.0", TEXT, TEXT, OM),
        ("application/openmetrics-text;q=0, text/plain", TEXT, TEXT, TEXT),
        ("text/html", TEXT, TEXT, OM),
    ],
)
def test_who_takes_the_engines_own_gets_it_and_others_a_conversion(
    accept: str, asked: Dialect, from_text: Dialect, from_openmetrics: Dialect
) -> None:
    assert preferred(accept) is asked
    assert (chosen(accept, TEXT), chosen(accept, OM)) == (from_text, from_openmetrics)


def test_the_engine_is_asked_in_a_way_that_keeps_colons() -> None:
    """prometheus_client writes vllm_x for vllm:x in OpenMetrics unless it is told not to escape."""
    assert "openmetrics-text;version=1.0.0;escaping=allow-utf-8" in ASKED_FOR[OM]
    assert preferred(ASKED_FOR[OM]) is OM
    assert preferred(ASKED_FOR[TEXT]) is TEXT


@given(st.text(max_size=80))
def test_no_header_is_too_odd(accept: str) -> None:
    assert preferred(accept) in Dialect
    assert chosen(accept, OM) in Dialect
