"""What a run writes is what is read back; what is broken is named with its line, and what was cut short is left out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hallmark.core.errors import InfrastructureError
from hallmark.core.files import write_json
from hallmark.core.records import (
    Evidence,
    Interval,
    Manifest,
    ManifestEntry,
    Record,
    RecordLog,
    Target,
    read_manifest,
    read_records,
    to_plain,
)
from hallmark.core.redact import Redactor
from hallmark.core.verdict import Verdict

# pydantic has doubts about a whole number in `float | str`; the files hold it well all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

finite = st.floats(allow_nan=False, allow_infinity=False)
# Whatever a server may say, but for half a surrogate pair: those are replaced when they are written.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
words = st.text("abcdefghijklmnopqrstuvwxyz.-", min_size=1, max_size=12)
json_data = st.dictionaries(texts, st.none() | st.booleans() | st.integers() | finite | texts, max_size=3)
targets = st.builds(Target, relation=st.sampled_from([">=", "<=", "=="]), limit=finite | texts, reference=st.none() | finite)
evidence = st.builds(
    Evidence,
    name=words,
    value=st.booleans() | st.integers() | finite | texts,
    n=st.integers(0, 10**9),
    verdict=st.sampled_from(Verdict),
    reason=texts,
    target=st.none() | targets,
    interval=st.none() | st.builds(Interval, low=finite, high=finite),
    detail=json_data,
)
records = st.builds(
    Record,
    check=words,
    cell=words,
    kind=st.sampled_from(["spec", "server", "evals", "perf", "extra"]),
    verdict=st.sampled_from(Verdict),
    reason=texts,
    evidence=st.lists(evidence, max_size=3).map(tuple),
    duration_s=finite,
    measured=st.booleans(),
    log=texts,
)
RECORD = Record(check="server.chat", cell="c", kind="server", verdict=Verdict.FAIL, reason="ünïcode ☃")


def log_of(folder: Path) -> RecordLog:
    return RecordLog(folder / "records.jsonl", Redactor())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, max_size=4))
def test_records_come_back_as_they_were(tmp_path: Path, given_records: list[Record]) -> None:
    log = log_of(tmp_path)
    log.path.write_bytes(b"")
    for record in given_records:
        log.append(record)
    assert read_records(log.path) == given_records


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    entry = ManifestEntry(check="server.chat", kind="server", title="it chats")
    manifest = Manifest(
        cell="c",
        model="m",
        device="cpu",
        impl="i",
        workflow="release",
        started_at="2026-01-01",
        entries=(entry,),
        partial=("-k x",),
        settings={"limit": 3},
    )
    write_json(tmp_path / "manifest.json", to_plain(manifest))
    assert read_manifest(tmp_path / "manifest.json") == manifest


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["value", "interval", "duration_s"])
def test_no_number_that_is_none_is_written(tmp_path: Path, number: float, place: str) -> None:
    """A percentile of nothing must be absent with a reason: NaN compares as false with every target."""
    shapes: dict[str, Any] = {
        "value": {"evidence": (Evidence(name="x", value=number),)},
        "interval": {"evidence": (Evidence(name="x", value=1, interval=Interval(low=0, high=number)),)},
        "duration_s": {"duration_s": number},
    }
    log = log_of(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        log.append(Record(check="a", cell="c", kind="perf", verdict=Verdict.PASS, reason="", **shapes[place]))
    assert not log.path.exists(), "half a record was left"


def test_a_detail_that_is_no_number_is_written_as_absent(tmp_path: Path) -> None:
    """Details decide nothing, so one that is NaN costs no record; but no NaN may stand in a file that says it is JSON."""
    log = log_of(tmp_path)
    found = Evidence(name="x", value=1, detail={"p99": [math.nan, math.inf]})
    log.append(Record(check="a", cell="c", kind="perf", verdict=Verdict.PASS, reason="", evidence=(found,)))
    assert read_records(log.path)[0].evidence[0].detail == {"p99": [None, None]}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_line_that_a_kill_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    """Also where the cut goes through the middle of a character."""
    log = log_of(tmp_path)
    log.append(RECORD)
    log.append(RECORD)
    log.path.write_bytes(log.path.read_bytes()[:-cut])
    assert read_records(log.path) == [RECORD]


def test_cut_bytes_hold_half_a_character_somewhere(tmp_path: Path) -> None:
    """The test above is about something: one of its cuts is no UTF-8."""
    log = log_of(tmp_path)
    log.append(Record(check="a", cell="c", kind="spec", verdict=Verdict.PASS, reason="", log="☃"))
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + whole[: whole.index("☃".encode()) + 1])
    with pytest.raises(UnicodeDecodeError):
        log.path.read_text(encoding="utf-8")
    assert len(read_records(log.path)) == 1


@pytest.mark.parametrize(
    "line", ["{", "null", "[]", '{"check": "a"}', '{"check":1,"cell":"c","kind":"spec","verdict":"PASS","reason":""}', "", "\x00"]
)
def test_a_broken_line_is_named_in_one_line(tmp_path: Path, line: str) -> None:
    log = log_of(tmp_path)
    log.append(RECORD)
    with log.path.open("a") as stream:
        stream.write(line + "\n")
    log.append(RECORD)
    with pytest.raises(InfrastructureError) as caught:
        read_records(log.path)
    assert caught.value.where == f"{log.path}:2"
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.hint


@pytest.mark.parametrize("verdict", ["pass", "OK", "PASSED", ""])
def test_a_verdict_that_is_none_is_never_read_as_one(tmp_path: Path, verdict: str) -> None:
    log = log_of(tmp_path)
    log.append(RECORD)
    log.path.write_text(log.path.read_text().replace("FAIL", verdict))
    with pytest.raises(InfrastructureError, match="verdict"):
        read_records(log.path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe", b'{"cell": "c"}', b"[]"])
def test_what_is_no_manifest_is_refused_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InfrastructureError) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_records_that_are_not_there_are_an_error_not_an_empty_run(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match=r"records\.jsonl"):
        read_records(tmp_path / "records.jsonl")


def test_a_record_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="--artifacts"):
        RecordLog(tmp_path / "gone" / "records.jsonl", Redactor()).append(RECORD)


def test_half_a_surrogate_pair_loses_no_record(tmp_path: Path) -> None:
    log = log_of(tmp_path)
    log.append(Record(check="a", cell="c", kind="server", verdict=Verdict.PASS, reason="said \ud83d"))
    assert read_records(log.path)[0].reason == "said ?"
