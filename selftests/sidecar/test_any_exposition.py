"""Whatever lines an engine sends, in whichever order: no sample is lost, nothing unreadable is served, in either format."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark_services.sidecar.metrics.convert import converted
from hallmark_services.sidecar.metrics.negotiate import CONTENT_TYPES, encoded
from hallmark_services.sidecar.metrics.rules import Engine
from hallmark_services.sidecar.metrics.scan import Dialect, scan
from hallmark_services.sidecar.metrics.standardize import standardized
from selftests.sidecar.reading import PREFIX

NAMES = st.sampled_from(
    [
        *("a", "a_total", "a_created", "a_bucket", "a_sum", "a_count", "a_info", "h", "h_bucket"),
        *("vllm:generation_tokens", "vllm:generation_tokens_total", "vllm:generation_tokens_created"),
        *("vllm:time_to_first_token_seconds", "vllm:time_to_first_token_seconds_bucket"),
        *(PREFIX + "num_requests_waiting", PREFIX + "metric_source_info"),
    ]
)
TYPES = "counter", "gauge", "histogram", "summary", "untyped", "unknown", "info", "stateset", "gaugehistogram", "nonsense"
KINDS = st.sampled_from(TYPES)
LABELS = st.sampled_from(
    ["", "{}", '{x="1"}', '{le="1",x="2"}', '{x="2",le="+Inf"}', '{le="0.5"}', '{quantile="0.5"}', '{x="a\\"}"}']
)
VALUES = st.sampled_from(["1", "2.5", "NaN", "+Inf", "1e3 1700000000000", "-4 -5", "1 1.5", '1 # {t="x"} 1.0', "x"])
OTHER = st.sampled_from(["# c", "#", "# a comment here", "#x", "", "# EOF", "# UNIT a s", "# HELP a # EOF", "a{", "\r", "\x00"])
LINES = st.one_of(
    st.builds("{}{} {}".format, NAMES, LABELS, VALUES),
    st.builds("# TYPE {} {}".format, NAMES, KINDS),
    st.builds('# HELP {} a "word" \\n'.format, NAMES),
    OTHER,
    st.text(max_size=12),
)


def count(text: str) -> int:
    return sum(1 for line in text.split("\n") if line and not line.startswith("#"))


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=14).map("\n".join), st.sampled_from(["", *CONTENT_TYPES.values()]), st.sampled_from(Engine))
def test_any_lines_give_an_exposition_that_can_be_read(body: str, content_type: str, engine: Engine) -> None:
    scanned = scan(body.encode("utf-8", "surrogatepass"), content_type)
    standard = standardized(scanned, engine, prefix=PREFIX)
    assert standard.text.startswith(scanned.text)
    for dialect in Dialect:
        served = encoded(converted(standard, dialect)).decode()
        assert count(served) == count(standard.text)
        assert scan(served.encode(), CONTENT_TYPES[dialect]).malformed == 0
