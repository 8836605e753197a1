"""The envelope and the statement in it: what exactly is signed, and that nothing can be read in two ways."""

from __future__ import annotations

import base64
import json

import pytest

from hallmark.core.dsse import Envelope, NoEnvelope, Signature
from hallmark.core.in_toto import NamedDigest, NoStatement, Statement


def test_what_is_signed_is_the_encoding_that_the_protocol_gives_as_its_example() -> None:
    envelope = Envelope(payload=b"hello world", payload_type="http://example.com/HelloWorld")
    assert envelope.signed_bytes == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_lengths_are_of_bytes() -> None:
    assert Envelope(payload="é".encode(), payload_type="ü").signed_bytes == "DSSEv1 2 ü 2 é".encode()


def test_an_envelope_is_read_back_as_it_was_written() -> None:
    envelope = Envelope(payload=b"\x00\xff", signatures=(Signature(key_id="a", value=b"\xfb\xff"),))
    assert Envelope.from_json(envelope.to_json().encode()) == envelope
    for_urls = envelope.to_json().replace("+/8=", "-_8=")
    assert for_urls != envelope.to_json()
    assert Envelope.from_json(for_urls.encode()) == envelope


def test_a_key_signs_once() -> None:
    first, second, other = (Signature(key_id=key, value=value) for key, value in (("a", b"1"), ("a", b"2"), ("b", b"3")))
    envelope = Envelope(payload=b"").with_signature(first).with_signature(other).with_signature(second)
    assert [(one.key_id, one.value) for one in envelope.signatures] == [("b", b"3"), ("a", b"2")]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b"[]", "is no JSON object"),
        (b"{}", "lacks payload"),
        (b'{"payload": "", "payloadType": "x", "signatures": [{"keyid": "a"}]}', "lacks payload"),
        (b'{"payload": "", "payloadType": "x", "signatures": 3}', "lacks payload"),
        (b'{"payload": "", "payloadType": "x", "signatures": ["a"]}', "lacks payload"),
        (b'{"payload": "a b", "payloadType": "x", "signatures": []}', "has no base64"),
        (b'{"payload": "YQ==YQ==", "payloadType": "x", "signatures": []}', "has no base64"),
        (b'{"payload": 7, "payloadType": "x", "signatures": []}', "something else than text"),
        (b'{"payload": "", "payload": "YQ==", "payloadType": "x", "signatures": []}', "has the name 'payload' twice"),
    ],
)
def test_what_is_no_envelope_says_why(content: bytes, why: str) -> None:
    with pytest.raises(NoEnvelope, match=why):
        Envelope.from_json(content)


STATEMENT = Statement(subjects=(NamedDigest(name="a", sha256="ab"),), predicate_type="https://x.example/v1", predicate={"b": 1})


def test_a_statement_is_written_once_and_read_back() -> None:
    assert Statement.from_bytes(STATEMENT.to_bytes()) == STATEMENT
    assert json.loads(STATEMENT.to_bytes())["_type"] == "https://in-toto.io/Statement/v1"


def test_a_statement_is_about_something_and_has_no_value_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="about something"):
        Statement(subjects=(), predicate_type="x", predicate={}).to_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        Statement(subjects=STATEMENT.subjects, predicate_type="x", predicate={"a": float("nan")}).to_bytes()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Statement/v1", "Statement/v0.1", "is no in-toto Statement v1"),
        ('[{"name":"a","digest":{"sha256":"ab"}}]', "[]", "lacks subjects"),
        ('{"sha256":"ab"}', '{"sha1":"ab"}', "lacks subjects"),
        ('{"sha256":"ab"}', '{"sha256":7}', "lacks subjects"),
        ('"predicate":{"b":1}', '"predicate":[]', "lacks subjects"),
        ('"b":1', '"b":1,"b":2', "has the name 'b' twice"),
        ("}", "", "is no JSON"),
    ],
)
def test_what_is_no_statement_says_why(old: str, new: str, why: str) -> None:
    text = STATEMENT.to_bytes().decode()
    assert old in text
    with pytest.raises(NoStatement, match=why):
        Statement.from_bytes(text.replace(old, new, 1).encode())


def test_the_payload_stands_in_the_envelope_as_the_bytes_that_were_signed() -> None:
    payload = STATEMENT.to_bytes()
    assert base64.b64decode(json.loads(Envelope(payload=payload).to_json())["payload"]) == payload
