"""The decision table: each way of not being accepted, and which of several wins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hallmark.core.records import Evidence, ManifestEntry, Record, Target
from hallmark.core.verdict import Verdict
from hallmark.report.build import build
from hallmark.report.document import EXIT_CODES
from hallmark.report.render import renderers
from selftests.report.samples import FORMATS, WAIVER, manifest, record

PASS, CONDITIONAL, INCONCLUSIVE, VOID, FAIL, ERROR = Verdict
GOOD = record("server.a")


def bad(verdict: Verdict, *, measured: bool = True, check: str = "server.b") -> Record:
    return record(check, verdict, reason="told why", measured=measured)


TABLE = {
    "all good": ([GOOD, record("server.b")], {}, "ACCEPTED", PASS),
    "waived": ([GOOD, bad(FAIL)], {"waived": ("server.b",)}, "ACCEPTED", CONDITIONAL),
    "waived by itself": ([GOOD, record("server.b", CONDITIONAL)], {"waived": ("server.b",)}, "ACCEPTED", CONDITIONAL),
    "waived by nobody": ([GOOD, record("server.b", CONDITIONAL)], {}, "INCONCLUSIVE", INCONCLUSIVE),
    "another is waived": ([GOOD, bad(FAIL)], {"waived": ("server.a",)}, "REJECTED", FAIL),
    "waived and not measured": ([GOOD, bad(FAIL, measured=False)], {"waived": ("server.b",)}, "INCOMPLETE", FAIL),
    "waived and missing": ([GOOD], {"waived": ("server.b",)}, "INCOMPLETE", INCONCLUSIVE),
    "a waiver covers no death": ([GOOD, replace(bad(FAIL), server_lost=True)], {"waived": ("server.b",)}, "REJECTED", FAIL),
    "a waiver covers no error": ([GOOD, bad(ERROR)], {"waived": ("server.b",)}, "ERROR", ERROR),
    "a waiver covers no void": ([GOOD, bad(FAIL), bad(VOID)], {"waived": ("server.b",)}, "VOID", VOID),
    "a machine that was busy": ([GOOD, bad(VOID)], {}, "VOID", VOID),
    "a device that is not there": ([GOOD, bad(VOID, measured=False)], {}, "VOID", VOID),
    "a waiver covers no doubt": ([GOOD, bad(INCONCLUSIVE)], {"waived": ("server.b",)}, "INCONCLUSIVE", INCONCLUSIVE),
    "extra good": ([GOOD, record("server.b"), record("x")], {}, "ACCEPTED", PASS),
    "nothing at all": ([], {}, "INCOMPLETE", INCONCLUSIVE),
    "no record": ([GOOD], {}, "INCOMPLETE", INCONCLUSIVE),
    "skipped": ([GOOD, bad(INCONCLUSIVE, measured=False)], {}, "INCOMPLETE", INCONCLUSIVE),
    "passed without being measured": ([GOOD, record("server.b", measured=False)], {}, "INCOMPLETE", INCONCLUSIVE),
    "failed without being measured": ([GOOD, bad(FAIL, measured=False)], {}, "INCOMPLETE", FAIL),
    "inconclusive": ([GOOD, bad(INCONCLUSIVE)], {}, "INCONCLUSIVE", INCONCLUSIVE),
    "fail": ([GOOD, bad(FAIL)], {}, "REJECTED", FAIL),
    "fail and missing": ([replace(GOOD, verdict=FAIL)], {}, "REJECTED", FAIL),
    "error": ([GOOD, bad(ERROR)], {}, "ERROR", ERROR),
    "error before anything was measured": ([bad(ERROR, measured=False)], {}, "ERROR", ERROR),
    "fail and error": ([bad(FAIL, check="server.a"), bad(ERROR)], {}, "REJECTED", ERROR),
    "unmeasured fail and error": ([bad(FAIL, check="server.a", measured=False), bad(ERROR)], {}, "ERROR", ERROR),
    "busy, and another check failed": ([bad(VOID, check="server.a"), bad(FAIL)], {}, "REJECTED", FAIL),
    "no device, and another check failed": ([bad(VOID, check="server.a", measured=False), bad(FAIL)], {}, "VOID", FAIL),
    "void and error": ([bad(VOID, check="server.a"), bad(ERROR)], {}, "VOID", ERROR),
    "void of an extra": ([GOOD, record("server.b"), bad(VOID, check="x")], {}, "VOID", VOID),
    "extra failing": ([GOOD, record("server.b"), bad(FAIL, check="x")], {}, "REJECTED", FAIL),
    "extra error": ([GOOD, record("server.b"), bad(ERROR, check="x")], {}, "ERROR", ERROR),
    "extra unmeasured fail": ([GOOD, record("server.b"), bad(FAIL, check="x", measured=False)], {}, "INCONCLUSIVE", FAIL),
    "partial and all good": ([GOOD, record("server.b")], {"partial": ("--limit 5",)}, "PARTIAL", PASS),
    "smoke and missing": ([GOOD], {"partial": ("--smoke",)}, "INCOMPLETE", INCONCLUSIVE),
    "smoke and fail": ([GOOD, bad(FAIL)], {"partial": ("--smoke",)}, "REJECTED", FAIL),
    "smoke without evidence": (
        [GOOD, replace(record("server.b"), evidence=())],
        {"partial": ("--smoke",)},
        "INCONCLUSIVE",
        INCONCLUSIVE,
    ),
    "smoke and error": ([GOOD, bad(ERROR)], {"partial": ("--smoke",)}, "ERROR", ERROR),
    "smoke and void": ([GOOD, bad(VOID)], {"partial": ("--smoke",)}, "VOID", VOID),
    "smoke that shows nothing": (
        [bad(INCONCLUSIVE, check="server.a"), bad(INCONCLUSIVE)],
        {"partial": ("--smoke",)},
        "INCONCLUSIVE",
        INCONCLUSIVE,
    ),
    "smoke narrowed further": ([GOOD, record("server.b")], {"partial": ("--smoke", "-k b")}, "PARTIAL", PASS),
    "partial and missing": ([GOOD], {"partial": ("-k a",)}, "PARTIAL", INCONCLUSIVE),
    "partial and inconclusive": ([GOOD, bad(INCONCLUSIVE)], {"partial": ("-k a",)}, "PARTIAL", INCONCLUSIVE),
    "partial and fail": ([GOOD, bad(FAIL)], {"partial": ("-k a",)}, "REJECTED", FAIL),
    "partial and error": ([GOOD, bad(ERROR)], {"partial": ("-k a",)}, "ERROR", ERROR),
    "a draft and all good": ([GOOD, record("server.b")], {"gaps": ("engine_version",)}, "INCONCLUSIVE", INCONCLUSIVE),
    "a draft and inconclusive": ([GOOD, bad(INCONCLUSIVE)], {"gaps": ("engine_version",)}, "INCONCLUSIVE", INCONCLUSIVE),
    "a draft and missing": ([GOOD], {"gaps": ("engine_version",)}, "INCOMPLETE", INCONCLUSIVE),
    "a draft and fail": ([GOOD, bad(FAIL)], {"gaps": ("engine_version",)}, "REJECTED", FAIL),
    "a draft and waived": ([GOOD, bad(FAIL)], {"gaps": ("x",), "waived": ("server.b",)}, "INCONCLUSIVE", INCONCLUSIVE),
    "retried until it passed": ([GOOD, bad(FAIL), record("server.b")], {}, "REJECTED", FAIL),
    "passed, then failed": ([GOOD, record("server.b"), bad(FAIL)], {}, "REJECTED", FAIL),
    "error hides no failure of the same check": ([GOOD, bad(FAIL), bad(ERROR)], {}, "REJECTED", ERROR),
    "failed once and was disturbed once": ([GOOD, bad(FAIL), bad(VOID)], {}, "REJECTED", FAIL),
    "retried after a skip": ([GOOD, bad(INCONCLUSIVE, measured=False), record("server.b")], {}, "INCONCLUSIVE", INCONCLUSIVE),
    "another cell's record": ([GOOD, record("server.b", cell="other")], {}, "ERROR", ERROR),
    "empty manifest": ([record("x")], {"entries": ()}, "INCOMPLETE", PASS),
}


@pytest.mark.parametrize("case", TABLE)
def test_table(case: str) -> None:
    records, fields, outcome, verdict = TABLE[case]
    decision = build(manifest("server.a", "server.b", **fields), records).decision
    assert (decision.outcome, decision.verdict) == (outcome, verdict)
    assert decision.exit_code == EXIT_CODES[outcome]
    assert decision.accepted == (outcome == "ACCEPTED") == (decision.exit_code == 0) == (not decision.causes)
    assert decision.headline


@pytest.mark.parametrize("second", [record("server.b"), bad(INCONCLUSIVE)])
def test_a_smoke_run_passes_and_is_never_accepted(second: Record) -> None:
    for gaps in ((), ("engine_version",)):
        decision = build(manifest("server.a", "server.b", partial=("--smoke",), gaps=gaps), [GOOD, second]).decision
        assert (decision.outcome, decision.exit_code, decision.accepted) == ("SMOKE PASSED", 0, False)
        assert "Smoke passed; certifies nothing." in decision.headline


PART = {"workflow": "tests", "partial": ("--workflow tests",)}
"""What `run.py --workflow tests` asks for: checks of the kind server."""
EVAL = ManifestEntry(check="evals.c", kind="evals", title="About evals.c")
BOTH = [GOOD, record("server.b")]
PARTS = {
    "all of it passed": (BOTH, {}, 0),
    "one is waived": ([GOOD, bad(FAIL)], {"waived": ("server.b",)}, 0),
    "one has no record": ([GOOD], {}, 4),
    "one was skipped": ([GOOD, bad(INCONCLUSIVE, measured=False)], {}, 4),
    "one is inconclusive": ([GOOD, bad(INCONCLUSIVE)], {}, 4),
    "one shows nothing": ([GOOD, replace(record("server.b"), evidence=())], {}, 4),
    "one failed": ([GOOD, bad(FAIL)], {}, 1),
    "one could not be carried out": ([GOOD, bad(ERROR)], {}, 3),
    "the machine spoilt one": ([GOOD, bad(VOID)], {}, 3),
    "another kind is inconclusive": ([*BOTH, record("evals.c", INCONCLUSIVE, kind="evals")], {}, 4),
    "somebody's own is inconclusive": ([*BOTH, record("mine", INCONCLUSIVE, kind="extra")], {}, 4),
    "narrowed further": (BOTH, {"partial": ("--workflow tests", "-k 'a or b'")}, 4),
    "of fewer samples": (BOTH, {"partial": ("--workflow tests", "--limit 5")}, 4),
    "another server than the spec's": (BOTH, {"partial": ("--workflow tests", "--engine-arg a=1: another")}, 4),
    "a release narrowed to it": (BOTH, {"workflow": "release", "partial": ("-m 'server'",)}, 4),
    "the spec demands none of it": ([record("evals.c", kind="evals")], {"entries": (EVAL,)}, 4),
    "nothing was measured": ([], {}, 4),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_part_that_passed_ends_well_and_certifies_nothing(case: str) -> None:
    records, fields, code = PARTS[case]
    demanded = manifest("server.a", "server.b", **{**PART, **fields})
    if EVAL not in demanded.entries:
        demanded = replace(demanded, entries=(*demanded.entries, EVAL))
    decision = build(demanded, records).decision
    assert decision.exit_code == code
    assert not decision.accepted
    assert decision.causes
    if code in (0, 4):
        assert decision.outcome == "PARTIAL"
    assert ("All 2 checks asked for were measured and passed; a part of a release certifies" in decision.headline) == (code == 0)


@pytest.mark.parametrize("case", TABLE)
def test_an_interrupted_run_is_never_accepted(case: str) -> None:
    records, fields, _, _ = TABLE[case]
    decision = build(manifest("server.a", "server.b", **fields), records, interrupted=True).decision
    assert (decision.outcome, decision.exit_code, decision.accepted) == ("INTERRUPTED", 130, False)
    assert decision.causes[0] == "interrupted before the end"


@pytest.mark.parametrize("case", [case for case in TABLE if case.startswith("a draft")])
def test_a_draft_says_what_is_missing_in_the_line_of_the_verdict(case: str) -> None:
    records, fields, outcome, _ = TABLE[case]
    missing = ("engine_version", "eval_targets")
    report = build(manifest("server.a", "server.b", **(fields | {"gaps": missing})), records)
    assert report.draft == "draft: missing engine version, eval targets"
    assert report.decision.headline.startswith(f"{report.draft}; ")
    whole = build(manifest("server.a", "server.b", **(fields | {"gaps": ()})), records)
    assert whole.draft == ""
    assert "draft" not in whole.decision.headline
    for text in (renderers()[file](report) for file in FORMATS):
        assert "draft: missing engine version, eval targets" in text
    assert outcome == report.decision.outcome


def tiered(value: float, *, tier: str = "complete", limit: float = 400.0) -> Evidence:
    target = Target(relation=">=", limit=limit, reference=800.0, tier=tier)
    return Evidence(name="tokens_per_s", value=value, unit="tokens/s", target=target)


def test_an_accepted_run_says_at_which_tier_and_how_many_targets_were_reached_in_full() -> None:
    both = [replace(record("server.a"), evidence=(tiered(505.0),)), replace(record("server.b"), evidence=(tiered(900.0),))]
    decision = build(manifest("server.a", "server.b"), both).decision
    assert (decision.title, decision.tier) == ("ACCEPTED at tier complete", "complete")
    assert decision.headline.endswith("; 1 of 2 performance targets was reached in full.")
    lower = [both[0], replace(both[1], evidence=(tiered(90.0, tier="functional", limit=80.0),))]
    assert build(manifest("server.a", "server.b"), lower).decision.tier == "functional", "the lowest that anything was held to"
    assert build(manifest("server.a"), [record("server.a")]).decision.title == "ACCEPTED", "nothing was held to a tier"


def test_a_run_that_is_not_accepted_says_what_was_reached_and_no_tier() -> None:
    missed = replace(tiered(350.0), verdict=FAIL)
    only = replace(record("server.a", FAIL), evidence=(missed,), reason="")
    decision = build(manifest("server.a"), [only]).decision
    assert (decision.title, decision.tier) == ("REJECTED", "")
    assert any("350 of 800 tokens/s: 44 %, tier complete needs 400 (0.5 x target)" in cause for cause in decision.causes)


def judged(*evidence: Evidence, verdict: Verdict = PASS) -> tuple[str, Verdict, str]:
    only = replace(record("server.a"), evidence=evidence, verdict=verdict, reason="said to be fine")
    report = build(
        manifest("server.a", waived=("server.a",) if CONDITIONAL in (verdict, *(e.verdict for e in evidence)) else ()), [only]
    )
    return report.decision.outcome, report.rows[0].verdict, report.rows[0].reason


@pytest.mark.parametrize("verdict", [PASS, CONDITIONAL])
def test_a_pass_without_evidence_is_inconclusive(verdict: Verdict) -> None:
    assert judged(verdict=verdict) == ("INCONCLUSIVE", INCONCLUSIVE, "recorded no evidence")


def test_worse_evidence_wins_over_the_record() -> None:
    outcome, verdict, reason = judged(Evidence(name="e", value=1, verdict=FAIL, reason="too low"), Evidence(name="f", value=2))
    assert (outcome, verdict, reason) == ("REJECTED", FAIL, "e: too low")


@pytest.mark.parametrize(
    ("started", "outcome", "reason"),
    [
        ("2026-03-02T00:00:00Z", "ACCEPTED", f"{WAIVER}: told why"),
        ("2026-05-31T23:59:59Z", "ACCEPTED", f"{WAIVER}: told why"),
        ("2026-03-01T23:59:59Z", "REJECTED", "told why; not waived before 2026-03-02"),
        ("2026-06-01T00:00:00Z", "REJECTED", f"told why; no longer {WAIVER}"),
        ("", "REJECTED", f"told why; no longer {WAIVER}"),
    ],
)
def test_a_waiver_holds_on_its_days_and_is_told_either_way(started: str, outcome: str, reason: str) -> None:
    demanded = replace(manifest("server.a", waived=("server.a",)), started_at=started)
    report = build(demanded, [bad(FAIL, check="server.a")])
    assert report.decision.outcome == outcome
    assert report.rows[0].reason == reason
    assert report.waived[0].needed == (outcome == "ACCEPTED")


def test_a_run_counts_until_its_own_days_end_or_the_waiver_that_it_needs() -> None:
    demanded = replace(manifest("server.b", waived=("server.b",)), started_at="2026-04-20T00:00:00Z")
    for days, found, until in (
        (90, GOOD_B, "2026-07-19"),
        (90, bad(FAIL), "2026-05-31"),
        (7, bad(FAIL), "2026-04-27"),
        (0, GOOD_B, ""),
    ):
        assert build(replace(demanded, valid_days=days), [found]).valid_until == until


GOOD_B = record("server.b")
USES = {
    "a miss": (bad(FAIL), True, "the check missed, which is accepted"),
    "a pass": (GOOD_B, False, "the waiver is not needed any more: the check passes"),
    "an error": (bad(ERROR), False, "the check ended ERROR, which no waiver covers"),
    "a gap": (bad(FAIL, measured=False), False, "the check was not measured, which no waiver covers"),
}


@pytest.mark.parametrize("name", USES)
def test_what_came_of_a_waiver_is_told(name: str) -> None:
    found, needed, use = USES[name]
    (waived,) = build(manifest("server.a", "server.b", waived=("server.b",)), [GOOD, found]).waived
    assert (waived.check, waived.needed, waived.use) == ("server.b", needed, use)
    assert waived.line == f"server.b {WAIVER}, made on 2026-03-02: {use}"


def test_a_waiver_that_ended_is_told_with_the_day_of_the_run() -> None:
    late = replace(manifest("server.b", waived=("server.b",)), started_at="2026-07-01T00:00:00Z")
    assert build(late, [bad(FAIL)]).waived[0].use == "the waiver did not hold on 2026-07-01, and the check ended FAIL"


def test_void_evidence_is_not_hidden_by_a_worse_record() -> None:
    outcome, verdict, _ = judged(Evidence(name="e", value=1, verdict=VOID), verdict=FAIL)
    assert (outcome, verdict) == ("REJECTED", FAIL)


@pytest.mark.parametrize(
    ("evidence", "verdict", "outcome"),
    [
        (Evidence(name="e", value=float("nan")), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value=float("inf")), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value=0.0, n=0), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value="absent", n=0), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value="absent", n=0, target=Target(relation="<=", limit=1)), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value=0.9, target=Target(relation=">=", limit=0.95)), FAIL, "REJECTED"),
        (Evidence(name="e", value=21, target=Target(relation="<=", limit=20)), FAIL, "REJECTED"),
        (Evidence(name="e", value=20, target=Target(relation="<=", limit=20)), PASS, "ACCEPTED"),
        (Evidence(name="e", value=19, target=Target(relation="==", limit=20)), FAIL, "REJECTED"),
        (Evidence(name="e", value="a", target=Target(relation="==", limit="b")), FAIL, "REJECTED"),
        (Evidence(name="e", value=20, target=Target(relation="==", limit=20.0)), PASS, "ACCEPTED"),
        (Evidence(name="e", value="fast", target=Target(relation="<=", limit=20)), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value=10**400, target=Target(relation="<=", limit=20)), INCONCLUSIVE, "INCONCLUSIVE"),
        (Evidence(name="e", value="2.1", target=Target(relation=">=", limit="10.0")), PASS, "ACCEPTED"),
        (Evidence(name="e", value=0.9, verdict=CONDITIONAL, target=Target(relation=">=", limit=0.95)), CONDITIONAL, "ACCEPTED"),
    ],
)
def test_a_pass_that_its_own_numbers_deny(evidence: Evidence, verdict: Verdict, outcome: str) -> None:
    assert judged(evidence)[:2] == (outcome, verdict)


def test_a_quantile_that_is_absent_and_not_asked_for_spoils_nothing() -> None:
    absent = Evidence(name="ttft_p99_ms", value="absent", n=0, reason="8 samples are too few")
    assert judged(Evidence(name="ttft_mean_ms", value=20.0, n=8), absent)[:2] == ("ACCEPTED", PASS)


def test_checks_that_share_a_cause_share_its_line() -> None:
    names = [f"server.{place}" for place in range(6)]
    told = record(names[0], VOID, reason="no t3k here", measured=False)
    others = [record(name, VOID, reason=f"same cause as {names[0]}", measured=False) for name in names[1:]]
    assert build(manifest(*names), [told, *others]).decision.causes == (
        "server.0: VOID, not measured - no t3k here",
        "server.1, server.2, server.3 and 2 more: VOID, not measured - same cause as server.0",
    )


@pytest.mark.parametrize(
    ("partial", "causes"),
    [
        (("-k a",), ("narrowed: -k a", "2 checks were not asked for")),
        (("--limit 5",), ("narrowed: --limit 5", "server.b, server.c: not measured - no record of it")),
    ],
)
def test_checks_that_a_narrowed_run_left_out_are_counted(partial: tuple[str, ...], causes: tuple[str, ...]) -> None:
    report = build(manifest("server.a", "server.b", "server.c", partial=partial), [GOOD])
    assert report.decision.causes == causes
    assert report.missing == ("server.b", "server.c")


def test_causes_name_each_culprit_with_its_numbers() -> None:
    evidence = Evidence(name="exact_match", value=0.902, verdict=FAIL, target=Target(relation=">=", limit=0.95))
    records = [record("server.a", FAIL, evidence), bad(ERROR), record("server.d", INCONCLUSIVE, reason="skipped", measured=False)]
    report = build(manifest("server.a", "server.b", "server.c", "server.d", partial=("-k a",)), records)
    assert report.decision.causes == (
        "server.a: FAIL - exact_match: 0.902 < 0.95",
        "server.b: ERROR - told why",
        "server.c: not measured - no record of it",
        "server.d: not measured - skipped",
        "narrowed: -k a",
    )


def test_a_cause_adds_the_numbers_that_the_reason_leaves_out() -> None:
    evidence = Evidence(name="ttft_mean_ms", value=62.5, unit="ms", verdict=FAIL, target=Target(relation="<=", limit=50.0))
    told = record("server.a", FAIL, evidence, reason="too slow")
    assert build(manifest("server.a"), [told]).decision.causes == ("server.a: FAIL - ttft_mean_ms 62.5 ms > 50; too slow",)
    telling = replace(told, reason="62.5 ms is too slow")
    assert build(manifest("server.a"), [telling]).decision.causes == ("server.a: FAIL - 62.5 ms is too slow",)


def test_a_cause_is_one_line_whatever_the_reason_holds() -> None:
    report = build(manifest("server.a"), [record("server.a", FAIL, reason="first\nsecond\r\n" + "x" * 1000)])
    (cause,) = report.decision.causes
    assert "\n" not in cause
    assert len(cause) < 400


def test_rows_keep_the_manifests_order_and_extras_come_last() -> None:
    report = build(manifest("server.b", "server.a"), [record("x"), record("server.a")])
    assert [(row.check, row.demanded, row.missing) for row in report.rows] == [
        ("server.b", True, True),
        ("server.a", True, False),
        ("x", False, False),
    ]
    assert report.missing == ("server.b",)
    assert report.counts == {"PASS": 2, "CONDITIONAL": 0, "INCONCLUSIVE": 1, "VOID": 0, "FAIL": 0, "ERROR": 0}


def test_what_a_check_waited_for_is_not_its_duration() -> None:
    report = build(manifest("server.a", "server.b"), [replace(GOOD, duration_s=40.0, waited_s=38.5), record("server.b")])
    assert [(row.duration_s, row.waited_s) for row in report.rows] == [(1.5, 38.5), (1.5, 0.0)]
    assert (report.waited_s, report.duration_s) == (38.5, 640.0), "the run itself took all of it"


def test_several_records_of_a_check_are_told() -> None:
    report = build(manifest("server.a"), [GOOD, bad(FAIL, check="server.a")])
    assert report.rows[0].reason == "told why (worst of 2 records)"
    assert report.rows[0].duration_s == 3.0
