"""The quick reader of JSON says what the strict one says, or leaves it to that one."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark.client.strict_json import read_json, read_json_bytes

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
ODD = (
    *(
        b'{"a":1,"a":2}',
        b'"\\ud83d"',
        b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b" [1] \n",
        b"[" * 150 + b"]" * 150,
        b"[" * 300 + b"]" * 300,
    ),
    *(b"1e400", b"-1e400", b"-0", b"-0.0", b"1E5", b"5e-324", b"123456789012345678901234567890", b"2.2250738585072011e-308"),
    *(b"9007199254740993", b"9007199254740993.0", b"0.1000000000000000055511151231257827021181583404541015625"),
)
NONE = (
    *(b"", b"NaN", b"Infinity", b"-Infinity", b"[NaN]", b"01", b"+1", b"1.", b".5", b"-", b"1e", b"0x10", b"1_000", b"9" * 5_000),
    *(
        b"[1,]",
        b'{"a":1,}',
        b"{a:1}",
        b'{"a"}',
        b"{1:2}",
        b"1 2",
        b"[1] x",
        b"tru",
        b"//a\n1",
        b"[" * 100_000,
        b"\x0c1",
        b"\xc2\xa01",
    ),
    *(
        b"'a'",
        b'"a\nb"',
        b'"a\x01"',
        b'"\\q"',
        b'"\\u12"',
        b'"a',
        b'"\xc3"',
        b'"\xed\xa0\xbd"',
        b'"\x7f\x00"',
        b"\x001",
        b"1\x00",
    ),
    b"\xef\xbb\xbf1",
)


def same(one: object, other: object) -> bool:
    """By type and by bits, too: 1 is not 1.0, and -0.0 is not 0.0."""
    return repr(one) == repr(other)


def strictly(data: bytes) -> tuple[bool, object]:
    try:
        return True, read_json(data.decode("utf-8"))
    except ValueError:
        return False, None


def quickly(data: bytes) -> tuple[bool, object]:
    try:
        return True, read_json_bytes(data)
    except ValueError:
        return False, None


@pytest.mark.parametrize("data", ODD, ids=lambda data: repr(data[:30]))
def test_what_is_odd_is_read_as_the_strict_reader_does(data: bytes) -> None:
    assert strictly(data)[0]
    assert same(quickly(data), strictly(data))


@pytest.mark.parametrize("data", NONE, ids=lambda data: repr(data[:30]))
def test_what_is_no_json_is_refused(data: bytes) -> None:
    assert strictly(data) == quickly(data) == (False, None)


@settings(max_examples=60, deadline=None)
@given(value=VALUES, spaces=st.booleans(), ascii_only=st.booleans())
def test_whatever_is_json_is_the_same(value: object, spaces: bool, ascii_only: bool) -> None:
    data = json.dumps(value, indent=1 if spaces else None, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert same(quickly(data), strictly(data))


@settings(max_examples=150, deadline=None)
@given(value=VALUES, place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_byte_that_is_another_is_judged_alike(value: object, place: int, byte: int) -> None:
    data = bytearray(json.dumps(value).encode())
    data[place % len(data)] = byte
    assert same(quickly(bytes(data)), strictly(bytes(data)))


@settings(max_examples=150, deadline=None)
@given(digits=st.text("0123456789", min_size=1, max_size=40), point=st.integers(0, 40), power=st.integers(-340, 310))
def test_numbers_are_the_same_to_the_last_bit(digits: str, point: int, power: int) -> None:
    data = f"{int(digits[:point] or '0')}.{digits[point:] or '0'}e{power}".encode()
    found, value = quickly(data)
    assert found
    assert isinstance(value, float)
    assert not math.isnan(value)
    assert same(value, strictly(data)[1])
