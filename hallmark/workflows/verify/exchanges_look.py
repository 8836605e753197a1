"""What was sent and answered where a check of the spec or of the API did not pass: is it kept, and does the verdict follow?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hallmark.client.rules import hold
from hallmark.client.wire import Answer, Sent
from hallmark.core.errors import CheckFailed, HallmarkError
from hallmark.core.exchanges import EXCHANGES_FILE, KeptExchange, read_exchanges
from hallmark.core.records import RECORDS_FILE, Record, read_records
from hallmark.core.verdict import Verdict
from hallmark.core.wording import one_line, plural
from hallmark.workflows.verify.finding import Finding, altered, derived, judged_otherwise, not_derived
from hallmark.workflows.verify.run_folder import RunFolder

_FROM_ROWS = ("evals", "perf")
_LONGEST = 160


def look_at_exchanges(run: RunFolder) -> Iterator[Finding]:
    """Of each check that did not pass, and how many keep nothing of what they sent."""
    try:
        records = read_records(run.path / RECORDS_FILE)
    except HallmarkError:
        return  # what is wrong with that file is told by other looks
    kept = {one.digest: one for one in read_exchanges(run.path)}
    bare = 0
    for record in records:
        yield from _of_record(record, [kept[digest] for digest in record.exchanges if digest in kept], run)
        bare += record.measured and record.kind not in _FROM_ROWS and not record.exchanges
    known = {digest for record in records for digest in record.exchanges}
    if run.ended and not run.last("resumed"):  # one that was broken off may have written one whose record it did not
        for one in kept.values():
            if one.digest not in known:
                yield altered(one.where, "belongs to no record: it was changed or added")
    if bare:
        why = "what was sent and answered is not kept, so their verdicts follow from their evidence alone"
        yield not_derived(RECORDS_FILE, f"{plural(bare, 'check')} of the spec and of the API: {why}")


def _of_record(record: Record, kept: Sequence[KeptExchange], run: RunFolder) -> Iterator[Finding]:
    where = f"{RECORDS_FILE}, {record.check}"
    if gone := len(record.exchanges) - len(kept):
        are = "is" if gone == 1 else "are"
        yield altered(where, f"has the digest of {plural(gone, 'exchange')} that {are} not in {EXCHANGES_FILE}")
    if others := [one.where for one in kept if one.check != record.check]:
        yield altered(where, f"has the digest of {', '.join(others)}, which is of another check")
    elif kept and not gone:
        yield _derived_from(record, kept, run)


def _derived_from(record: Record, kept: Sequence[KeptExchange], run: RunFolder) -> Finding:
    """What the exchange shows that the check failed by, where a rule is all that it broke."""
    broken = next((one for one in kept if one.rule), None)
    if broken is None or not (record.verdict is Verdict.FAIL or record.also_failed):
        places = " to ".join(dict.fromkeys((str(kept[0].place), str(kept[-1].place))))
        what = f"what was sent and answered is kept under digests of its record ({EXCHANGES_FILE}, {places})"
        return not_derived(record.check, f"{what}, and its test is more than a rule of one answer")
    try:
        why = broken_by(broken)
    except ValueError as exc:
        return not_derived(broken.where, str(exc))
    except (KeyError, TypeError, AttributeError) as exc:
        return not_derived(broken.where, f"is no exchange: {type(exc).__name__}: {exc}")
    if not why:
        what = f"its answer keeps to the rule {dict(broken.rule)} that {record.check} failed by"
        return judged_otherwise(broken.where, what, same_judge=run.same_judge)
    return derived(record.check, f"{broken.where}, {why}")


def broken_by(kept: KeptExchange) -> str:
    """How its answer breaks its rule, in a line; empty where it keeps to it. ValueError where that cannot be told."""
    try:
        hold(_answer(kept), kept.rule, whole="left_out" not in kept.content["answer"]["body"])
    except CheckFailed as exc:
        return one_line(str(exc).splitlines()[0], limit=_LONGEST)
    return ""


def _answer(kept: KeptExchange) -> Answer:
    request, answer = kept.content["request"], kept.content["answer"]
    return Answer(
        status=int(answer["status"]),
        headers=answer["headers"],
        body_text=str(answer["body"]["text"]),
        utf8=answer.get("utf8") is not False,
        sent=Sent(method=str(request["method"]), url=str(request["url"])),
    )
