"""A line that cannot be read costs itself, and only itself; what is only spaced oddly is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark_services.sidecar.metrics.scan import Dialect, scan
from selftests.sidecar.reading import FOLDER, exposition, samples

GOOD = b'# HELP a_total A "thing".\n# TYPE a_total counter\na_total{x="1"} 2\nb 3.5 1700000000000\n'
BAD = [
    'a_total{x="unclosed} 3',
    'a_total{x="1" y="2"} 3',
    "a_total{x=1} 3",
    "a_total",
    "a_total three",
    "a_total 0x1p3 4 5",
    "a_total 1_000",
    "1a 3",
    "bad name 3",
    "# TYPE a_total nonsense",
    "# TYPE a_total",
    'a{x="\\q"} 1',
    "<html><body>502 Bad Gateway</body></html>",
    "\x00\x01",
    "{} 1",
]


def test_a_good_exposition_is_kept_byte_for_byte() -> None:
    scanned = scan(GOOD)
    assert (scanned.text[1:].encode(), scanned.malformed, scanned.dialect) == (GOOD, 0, Dialect.TEXT)


@pytest.mark.parametrize("line", BAD)
def test_a_malformed_line_costs_that_line(line: str) -> None:
    lines = GOOD.splitlines(keepends=True)
    for place in range(len(lines) + 1):
        spoilt = b"".join([*lines[:place], line.encode() + b"\n", *lines[place:]])
        scanned = scan(spoilt)
        assert (scanned.text[1:].encode(), scanned.malformed) == (GOOD, 1)


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("  a 1", "a 1"),
        ("a\t1\r", "a 1"),
        ('a { x = "1" , y = "2" , } 1', 'a{x="1",y="2"} 1'),
        ('a{x="} 1 {"}2', 'a{x="} 1 {"} 2'),
        ("a 1   1700000000000  ", "a 1 1700000000000"),
        ('a_bucket{le="1"} 5 # {trace="x"} 0.5', 'a_bucket{le="1"} 5'),
        ("#  TYPE   a   gauge", "# TYPE a gauge"),
        ("a +Inf", "a +Inf"),
        ("a nan", "a nan"),
        ('{"a.b",x="1"} 1', '{"a.b",x="1"} 1'),
    ],
)
def test_odd_spacing_is_set_right(line: str, meant: str) -> None:
    scanned = scan(line.encode() + b"\nb 2\n")
    assert (scanned.text, scanned.malformed) == (f"\n{meant}\nb 2\n", 0)


def test_a_line_that_is_no_text_costs_that_line() -> None:
    assert scan(b'a 1\nb{x="\xff"} 2\nc 3\n').text == "\na 1\nc 3\n"
    assert scan(b'a 1\nb{x="\xff"} 2\nc 3\n').malformed == 1


def test_the_last_line_needs_no_line_break() -> None:
    assert scan(b"a 1\nb 2").text == "\na 1\nb 2\n"


def test_openmetrics_is_known_by_its_header_or_its_end_marker() -> None:
    om = b'# TYPE a counter\na_total{x="1"} 2.0 1.5 # {t="y"} 1.0 1.25\n# EOF\n'
    assert scan(om).dialect is Dialect.OPENMETRICS
    assert scan(om[:-6], "application/openmetrics-text; version=1.0.0").dialect is Dialect.OPENMETRICS
    assert scan(om).text == "\n" + om.decode()[:-6]
    assert scan(om[:-6], "application/openmetrics-text").malformed == 1  # it may have been cut off
    assert scan(om + b"late 1\n").text == scan(om).text


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.txt")))
def test_every_exposition_is_read_whole(name: str) -> None:
    scanned = scan(exposition(name))
    end = "# EOF\n" if scanned.dialect is Dialect.OPENMETRICS else ""
    assert (scanned.text[1:] + end).encode() == exposition(name)
    assert scanned.malformed == 0


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 600))
def test_whatever_comes_what_is_left_can_be_read(noise: bytes, at: int) -> None:
    lines = exposition("vllm_0_6.txt").splitlines(keepends=True)
    place = at % len(lines)
    scanned = scan(b"".join([*lines[:place], noise, b"\n", *lines[place:]]), "text/plain")
    original = samples(exposition("vllm_0_6.txt").decode())
    assert not original - samples(scanned.text)


def test_ten_thousand_bad_lines_are_not_quadratic_nor_fatal() -> None:
    scanned = scan(b"x{ 1\n" * 10_000 + b"a 1\n" + b'y{a="' * 5_000 + b"\n")
    assert (scanned.text, scanned.malformed) == ("\na 1\n", 10_001)
