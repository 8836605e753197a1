"""The one promise, over runs that nobody thought of: accepted implies measured, here, and good enough."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hallmark.core.records import Evidence, Interval, Manifest, Record, Target
from hallmark.core.verdict import Verdict
from hallmark.report.build import build
from hallmark.report.render import renderers
from selftests.report.samples import CELL, manifest

CHECKS = ("server.a", "server.b", "evals.c", "perf.d")
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
verdicts = st.sampled_from([Verdict.PASS] * 4 + list(Verdict))
targets = st.builds(
    Target,
    relation=st.sampled_from([">=", "<=", "=="]),
    limit=st.one_of(st.floats(allow_nan=False, allow_infinity=False), texts),
    reference=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tier=texts,
    source=texts,
)
bounds = st.floats(min_value=-1e9, max_value=1e9)
evidences = st.builds(
    Evidence,
    name=texts,
    value=st.one_of(st.floats(), st.integers(), st.booleans(), texts),
    unit=st.sampled_from(["", "ms", "tokens/s"]),
    n=st.integers(min_value=0, max_value=5000),
    verdict=verdicts,
    reason=texts,
    target=st.none() | targets,
    interval=st.none() | st.builds(Interval, low=bounds, high=bounds),
    detail=st.dictionaries(texts, texts, max_size=2),
)
records = st.builds(
    Record,
    check=st.sampled_from([*CHECKS, "extra.e"]),
    cell=st.sampled_from([CELL] * 9 + ["another"]),
    kind=st.sampled_from(["spec", "server", "evals", "perf", "extra"]),
    verdict=verdicts,
    reason=texts,
    evidence=st.lists(evidences, max_size=3).map(tuple),
    duration_s=st.floats(min_value=0, max_value=1e6),
    started_at=st.sampled_from(["", "2026-03-02T08:10:00Z", "2026-03-02T08:10:00.5+02:00", "yesterday"]),
    measured=st.sampled_from([True] * 4 + [False]),
    log=texts,
)
plain = st.builds(
    lambda check: Record(check=check, cell=CELL, kind="server", verdict=Verdict.PASS, reason="", evidence=(OK,)),
    st.sampled_from(CHECKS),
)
OK = Evidence(name="observed", value=True)
runs = st.tuples(
    st.lists(st.sampled_from(CHECKS), unique=True, max_size=4).map(lambda checks: manifest(*checks)),
    st.lists(plain | records, max_size=8),
    st.booleans() | st.just(False),
)


def _proven(record: Record) -> bool:
    return record.measured and record.verdict.accepted and bool(record.evidence) and record.cell == CELL


@settings(max_examples=400, deadline=None)
@given(run=runs, narrowed=st.sampled_from([(), (), ("-k a",)]))
def test_accepted_implies_every_demanded_check_measured_and_passed(
    run: tuple[Manifest, list[Record], bool], narrowed: tuple[str, ...]
) -> None:
    demanded, written, interrupted = run
    report = build(replace(demanded, partial=narrowed), written, interrupted=interrupted)
    if not report.decision.accepted:
        assert report.decision.exit_code != 0
        assert report.decision.causes
        return
    assert demanded.entries
    assert not narrowed
    assert not interrupted
    for entry in demanded.entries:
        of_check = [record for record in written if record.check == entry.check]
        assert of_check
        assert all(_proven(record) for record in of_check)
    assert all(record.verdict.accepted for record in written)
    assert all(item.verdict.accepted and item.n > 0 for record in written for item in record.evidence)


@settings(max_examples=80, deadline=None)
@given(run=runs)
def test_every_format_holds_whatever_a_run_wrote(run: tuple[Manifest, list[Record], bool]) -> None:
    demanded, written, interrupted = run
    report = build(demanded, written, interrupted=interrupted)
    rendered = {name: render(report) for name, render in renderers().items()}
    assert json.loads(rendered["report.json"])["decision"]["outcome"] == report.decision.outcome
    suite = ET.fromstring(rendered["junit.xml"])[0]
    green = suite.get("failures") == "0" and suite.get("errors") == "0"
    assert green == report.decision.accepted
    assert rendered == {name: render(report) for name, render in renderers().items()}
