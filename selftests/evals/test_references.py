"""References: written and read back whole, refused with the reason where they do not fit, and what the paired gate says."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hallmark.cli import main
from hallmark.core.errors import HarnessError, UsageError
from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.evals.harness import EvalScores
from hallmark.evals.items import digest, read_items
from hallmark.evals.paired import DIFFERENCE, Compared
from hallmark.evals.planning import plan_of
from hallmark.evals.recording import with_discordance
from hallmark.evals.reference import EvalReference, Reference, read_reference, reference_of, write_reference
from hallmark.evals.task import gate, judge, on_few_samples
from hallmark.evals.weights_mark import weights_mark
from hallmark.plugin.references import references_of
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget
from hallmark.stats.power import chance_of_pass
from hallmark.workflows.spec_references import references
from hallmark.workflows.spec_remarks import Severity
from selftests.plugin.stand_in_spec import WEIGHTS

ITEMS, RIGHT = 1180, 903
UNJUDGED = "for comparison only, no part of the verdict: "
Sample = dict[str, Any]


def samples(wrong: Sequence[int] = (), *, healed: Sequence[int] = (), items: int = ITEMS, **changes: Any) -> list[Sample]:
    """As lm-eval tells them: the first items are right and the rest wrong, but for those named."""

    def row(number: int) -> Sample:
        right = (number < RIGHT and number not in wrong) or number in healed
        told = {"doc_id": number, "filter": "none", "exact_match": float(right), "filtered_resps": [f"{number} {right}"]}
        return {**told, "doc_hash": f"d{number}", "target_hash": f"t{number}", "prompt_hash": f"p{number}", **changes}

    return [row(number) for number in range(items)]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Sequence[Sample]], Path]:
    def write(rows: Sequence[Sample]) -> Path:
        path = tmp_path / "sums.samples.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def target(cell: Cell) -> EvalTarget:
    """Reference 0.7653, tolerance 0.035, 1,180 items."""
    return next(target for target in cell.evals if target.name == "sums")


@pytest.fixture
def good(target: EvalTarget, written: Callable[[Sequence[Sample]], Path]) -> EvalReference:
    return EvalReference.of(target, read_items(written(samples()), target.metrics[0]), few_shot=0, lm_eval="0.4.13")


@pytest.fixture
def reference(cell: Cell, good: EvalReference) -> Reference:
    return Reference(
        model=cell.model,
        weights=weights_mark(cell.weights, cell.spec_file),
        cell=cell.id,
        engine="vllm 0.32.0",
        dtype="float32",
        recorded_at="2026-11-26T10:00:00+00:00",
        evals={"sums": good},
    )


def kept(folder: Path, reference: Reference) -> Path:
    path = folder / f"{reference.model}.json.gz"
    write_reference(path, reference)
    return path


def test_a_reference_is_read_back_as_it_was_written(reference: Reference, cell: Cell, tmp_path: Path) -> None:
    path = kept(tmp_path / "there", reference)
    assert read_reference(path) == reference
    assert reference_of(cell, path.parent) == reference
    assert path.read_bytes() == kept(tmp_path / "again", reference).read_bytes()
    assert path.stat().st_size < 25 * ITEMS


def test_a_cell_without_a_reference_has_none(cell: Cell, reference: Reference, tmp_path: Path) -> None:
    assert reference_of(cell, tmp_path) is None
    with pytest.raises(UsageError, match=r"holds no hallmark-tiny\.json\.gz"):
        references_of([cell], folder=tmp_path, workflow="release")
    assert references_of([cell], folder=tmp_path, workflow="benchmarks") == {}
    kept(tmp_path, reference)
    assert references_of([cell], folder=tmp_path, workflow="evals") == {cell.id: reference}


def damaged(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def edited(path: Path, edit: Callable[[Any], None]) -> None:
    """The file with something else in it, and the old digest."""
    whole = json.loads(gzip.decompress(path.read_bytes()))
    edit(whole)
    path.write_bytes(gzip.compress(json.dumps(whole).encode()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[: len(data) // 2], "is no reference, or a damaged one"),
        (lambda data: b"", "is no reference, or a damaged one"),
        (lambda data: gzip.compress(b'{"answers": []}'), "is no reference, or a damaged one"),
        (lambda data: gzip.compress(b"[]"), "is no reference, or a damaged one"),
    ],
)
def test_a_damaged_reference_is_refused(
    reference: Reference, tmp_path: Path, change: Callable[[bytes], bytes], told: str
) -> None:
    damaged(path := kept(tmp_path, reference), change)
    with pytest.raises(UsageError, match=told) as caught:
        read_reference(path)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path) in str(caught.value)


def test_a_reference_that_was_touched_is_refused(reference: Reference, tmp_path: Path) -> None:
    """Planted: wrong answers made right, by hand."""
    path = kept(tmp_path, reference)
    edited(path, lambda whole: whole["content"]["evals"]["sums"].update(right="0" * ITEMS))
    with pytest.raises(UsageError, match="its content is not what its digest says"):
        read_reference(path)
    edited(path, lambda whole: whole.update(hallmark_reference=2))
    with pytest.raises(UsageError, match="format 2, and this hallmark reads 1"):
        read_reference(path)


def test_a_reference_from_the_future_is_refused(reference: Reference, tmp_path: Path) -> None:
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    with pytest.raises(UsageError, match="is a reference from the future: "):
        read_reference(kept(tmp_path, replace(reference, recorded_at=later)))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task": "hallmark_tiny_addition"}, "of another task: hallmark_tiny_addition, not hallmark_tiny_sums"),
        ({"metric": "exact_match,strict"}, "of another metric: exact_match,strict, not exact_match,none"),
        ({"api": "chat"}, "of another API: chat, not completions"),
        ({"gen_kwargs": {"temperature": 1}}, "of another gen_kwargs"),
        ({"lm_eval": "0.4.4"}, r"of another lm-eval version: 0\.4\.4, not 0\.4\."),
        ({"right": "1" * 10 + "0" * (ITEMS - 10)}, "the reference's own score 0.008475 misses the floor 0.7303"),
    ],
)
def test_a_reference_of_another_eval_is_refused(
    reference: Reference, good: EvalReference, cell: Cell, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    path = kept(tmp_path, replace(reference, evals={"sums": replace(good, **changes)}))
    with pytest.raises(UsageError, match=told):
        reference_of(cell, path.parent)


def test_a_reference_of_other_weights_is_refused(reference: Reference, cell: Cell, tmp_path: Path) -> None:
    for changed, told in (
        (replace(reference, weights="sha256:" + 64 * "0"), "is a reference of other weights: sha256:"),
        (replace(reference, model="another"), "is a reference of other model: another, not hallmark-tiny"),
    ):
        kept(tmp_path, changed).replace(tmp_path / f"{cell.model}.json.gz")
        with pytest.raises(UsageError, match=told):
            reference_of(cell, tmp_path)


def test_other_weights_have_another_mark(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte in the middle of a small file; one piece of a large one."""
    weights = cell.weights.model_copy(update={"path": "."})
    path, spec = tmp_path / "model.safetensors", tmp_path / "spec.yaml"
    for whole in (10_000, 10):
        monkeypatch.setattr("hallmark.evals.weights_mark._WHOLE_BYTES", whole)
        monkeypatch.setattr("hallmark.evals.weights_mark._PIECE_BYTES", 10)
        path.write_bytes(bytes(5000))
        before = weights_mark(weights, spec)
        path.write_bytes(bytes(2490) + b"x" * 100 + bytes(2410))
        assert weights_mark(weights, spec) != before
    hub = cell.weights.model_copy(update={"path": "", "repo": "owner/name", "revision": "abc"})
    assert weights_mark(hub, spec) == "owner/name@abc"


def judged(
    cell: Cell, target: EvalTarget, good: EvalReference | None, path: Path, rows: Sequence[Sample], **scores: Any
) -> list[Evidence]:
    share = sum(row["exact_match"] for row in rows) / len(rows)
    compared = Compared.read(good, path, few_shot=0, title="vllm") if good else None
    told = {"metrics": {"exact_match,none": share}, "n": len(rows), "total": ITEMS, "seconds": 1.0, "lm_eval": "0.4.13", **scores}
    return gate(cell, target, EvalScores(compared=compared, **told))


@pytest.mark.parametrize(
    ("wrong", "healed", "verdict"),
    [
        (range(0), range(0), Verdict.PASS),
        (range(12), range(1100, 1112), Verdict.PASS),  # 2 % differ by chance
        (range(20), range(0), Verdict.PASS),  # 1.7 points lost, of 3.5 that may be
        (range(38), range(0), Verdict.INCONCLUSIVE),  # 3.2 points
        (range(42), range(0), Verdict.INCONCLUSIVE),  # 3.6 points
        (range(59), range(0), Verdict.FAIL),  # 5 points
        (range(RIGHT), range(0), Verdict.FAIL),  # dead
    ],
)
def test_the_paired_gate(
    cell: Cell,
    target: EvalTarget,
    good: EvalReference,
    written: Callable[[Sequence[Sample]], Path],
    wrong: Sequence[int],
    healed: Sequence[int],
    verdict: Verdict,
) -> None:
    rows = samples(wrong, healed=healed)
    score, difference = judged(cell, target, good, written(rows), rows)
    assert max((score.verdict, difference.verdict), key=list(Verdict).index) is verdict
    assert difference.verdict is verdict
    assert difference.name == DIFFERENCE
    assert difference.value == pytest.approx((len(healed) - len(wrong)) / ITEMS)
    assert (difference.detail["lost"], difference.detail["gained"]) == (len(wrong), len(healed))
    assert difference.detail["answered_otherwise"] == len(wrong) + len(healed)
    assert f"points lost on; {UNJUDGED}the mean of these 1,180 items, {score.value:.4g}, by itself would be " in difference.reason


def test_a_loss_that_the_score_alone_does_not_see_is_told(
    cell: Cell, target: EvalTarget, good: EvalReference, written: Callable[[Sequence[Sample]], Path]
) -> None:
    """Planted: 3.3 points lost of a better reference, whose floor is still reached."""
    better = replace(good, right="1" * 1000 + "0" * 180)
    rows = samples(range(70), healed=range(RIGHT, 1000))
    alone = judged(cell, target, None, written(rows), rows)
    assert alone[0].verdict is Verdict.PASS
    assert "no reference: the score resolves 2." in alone[0].reason
    assert judged(cell, target, better, written(rows), rows)[1].verdict is Verdict.FAIL


def test_what_the_reference_lacks_of_the_stated_score_may_not_be_lost(
    cell: Cell, target: EvalTarget, good: EvalReference, written: Callable[[Sequence[Sample]], Path]
) -> None:
    """A reference at 0.7458, of which 3.5 points less would be under the floor of 0.7303."""
    worse = replace(good, right="1" * 880 + "0" * 300)
    rows = samples(range(30), healed=())
    _, difference = judged(cell, target, worse, written(rows), rows)
    assert difference.target is not None
    assert -0.016 < float(difference.target.limit) < -0.015


@pytest.mark.parametrize(
    ("scores", "verdict", "told"),
    [
        ({"refused": 3}, Verdict.FAIL, "3 requests were answered with an error"),
        ({"total": 9}, Verdict.INCONCLUSIVE, "has 9 items"),
    ],
)
def test_what_fails_an_eval_fails_it_with_a_reference_too(
    cell: Cell,
    target: EvalTarget,
    good: EvalReference,
    written: Callable[[Sequence[Sample]], Path],
    scores: dict[str, int],
    verdict: Verdict,
    told: str,
) -> None:
    better = target.model_copy(update={"tolerance": 0.2})
    score, difference = judged(cell, better, good, written(samples()), samples(), **scores)
    assert (score.verdict, difference.verdict) == (verdict, Verdict.PASS)
    assert told in score.reason


@pytest.mark.parametrize(
    ("rows", "few_shot", "told"),
    [
        (samples(prompt_hash="p"), 0, "1180 of 1180 prompts are others .few-shot examples, template"),
        (samples(doc_hash="d"), 0, "1180 of 1180 items are others .the task's data differ"),
        (samples(items=ITEMS + 2), 0, "2 items that the reference does not have .the task has grown"),
        (samples(exact_match=0.5), 0, "items that are not simply right or wrong"),
        (samples(), 5, "5 examples before each question, and 0 then"),
    ],
)
def test_other_questions_are_never_compared(
    good: EvalReference, written: Callable[[Sequence[Sample]], Path], rows: Sequence[Sample], few_shot: int, told: str
) -> None:
    with pytest.raises(HarnessError, match=told):
        Compared.read(good, written(rows), few_shot=few_shot, title="vllm")


def test_a_part_of_the_items_is_compared_with_the_same_part(
    cell: Cell, target: EvalTarget, good: EvalReference, written: Callable[[Sequence[Sample]], Path]
) -> None:
    rows = samples([3], items=16)
    score, difference = judged(cell, target, good, written(rows), rows)
    assert (difference.n, difference.detail["lost"], difference.verdict) == (16, 1, Verdict.INCONCLUSIVE)
    assert on_few_samples(difference).reason.startswith("not judged on so few samples")
    assert score.verdict is Verdict.PASS


def test_samples_that_do_not_tell_their_items_are_refused(written: Callable[[Sequence[Sample]], Path]) -> None:
    for rows in ([], [{"doc_id": 0}], samples(items=2) * 2, samples(items=2, filter="strict")):
        with pytest.raises(HarnessError, match="samples"):
            read_items(written(rows), "exact_match,none")


def test_of_likelihoods_the_likeliest_choice_is_the_answer(written: Callable[[Sequence[Sample]], Path]) -> None:
    rows = samples(items=1, filtered_resps=[[-3.25, False], [-0.123456, True], [-9.0, False]], acc=1.0)
    (item,) = read_items(written(rows), "acc,none")
    assert (item.answer, item.logprobs) == ("1", (-3.25, -0.1235, -9.0))
    assert item.prompt == digest("p0")


def test_only_whole_evals_are_kept(target: EvalTarget, written: Callable[[Sequence[Sample]], Path]) -> None:
    with pytest.raises(UsageError, match="items of the task are missing"):
        EvalReference.of(target, read_items(written(samples()[1:]), "exact_match,none"), few_shot=0, lm_eval="0.4.13")


@pytest.mark.parametrize(
    ("tolerance", "discordance", "told"),
    [
        (0.035, 0.02, ""),
        (0.035, None, ""),
        (0.01, 0.02, "1,180 items at 2 % discordance prove 1.28 points, 1.00 are asked for"),
        (0.01, 0.0, ""),
    ],
)
def test_a_tolerance_that_its_items_cannot_prove_is_refused(
    reference: Reference, good: EvalReference, cell: Cell, tmp_path: Path, tolerance: float, discordance: float | None, told: str
) -> None:
    """The hint's number of items is enough."""
    held = replace(cell, evals=tuple(t.model_copy(update={"tolerance": tolerance}) for t in cell.evals if t.name == "sums"))
    kept(tmp_path, replace(reference, evals={"sums": replace(good, discordance=discordance)}))
    if not told:
        assert reference_of(held, tmp_path) is not None
        return
    with pytest.raises(UsageError, match=told) as caught:
        reference_of(held, tmp_path)
    needed = int(caught.value.hint.split("take ")[1].split()[0].replace(",", ""))
    assert chance_of_pass(needed, margin=tolerance, discordance=0.02) >= 0.9


def test_lint_tells_of_a_reference_that_no_run_could_use(reference: Reference, cell: Cell, tmp_path: Path) -> None:
    there = replace(cell, spec_file=tmp_path / "spec.yaml", weights=cell.weights.model_copy(update={"path": str(WEIGHTS)}))
    path = kept(tmp_path / "references", reference)
    assert list(references(there)) == []
    damaged(path, lambda data: data[:-20])
    (remark,) = references(there)
    assert (remark.rule, remark.severity) == ("reference", Severity.ERROR)
    assert f"{path}: is no reference, or a damaged one" in remark.message


def test_a_plan_holds_what_the_gate_then_does(target: EvalTarget, good: EvalReference) -> None:
    score, with_reference = plan_of(target, None), plan_of(target, replace(good, discordance=0.01))
    assert score is not None
    assert with_reference is not None
    assert (score.gate, with_reference.gate, score.n, with_reference.n) == ("score", "paired", ITEMS, ITEMS)
    assert with_reference.loss_seen <= 0.015 < score.loss_seen
    assert with_reference.healthy_not_accepted < 0.001 < 0.1 < score.healthy_not_accepted
    assert score.accepted(score.margin) <= score.alpha
    assert with_reference.accepted(with_reference.margin) <= with_reference.alpha
    for plan in (score, with_reference):
        assert plan.accepted(plan.loss_not_accepted) <= 0.1
        assert plan.accepted(plan.loss_not_accepted - 0.002) > 0.1
    assert plan_of(target.model_copy(update={"n": None}), None) is None


def test_the_chance_of_the_score_s_gate_is_that_of_drawing(target: EvalTarget) -> None:
    plan = plan_of(target, None)
    assert plan is not None
    rng, passed = random.Random(5), 0
    for _ in range(400):
        share = sum(rng.random() < target.reference for _ in range(ITEMS)) / ITEMS
        told = {"metrics": {"exact_match,none": share}, "n": ITEMS, "total": ITEMS, "seconds": 1.0, "lm_eval": "0"}
        passed += judge(target, EvalScores(**told)).verdict is Verdict.PASS
    assert passed / 400 == pytest.approx(plan.accepted(0.0), abs=0.085)  # four standard deviations


def test_the_command_tells_the_plan(reference: Reference, cell: Cell, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path, reference)
    words = ["plan", "--model", cell.model, "--device", cell.device, "--reference", str(tmp_path), "--artifacts", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert re.search(r"sums +paired +1,180 +(200|400) +3\.50 +5 % +2 % +1\.58 ", shown)
    assert re.search(r"addition +score +1,000 +1,000 +1\.50 +2\.5 % +- ", shown)
    assert re.search(r"a healthy server is not accepted with [\d.]+ %; one that lost 1 point: ", shown)
    assert main([*words, "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["cell"] == cell.id
    assert {row["name"]: row["gate"] for row in plan["evals"]} == {"addition": "score", "sums": "paired", "sequences": "score"}
    assert plan["not_accepted_at_loss"]["0.1"] > 0.99


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"recorded_at": (datetime.now(UTC) + timedelta(days=3)).isoformat()}, "is a reference from the future: "),
        ({"weights": "sha256:" + 64 * "0"}, "is a reference of other weights: sha256:0000000000000..., not sha256:"),
    ],
)
def test_a_reference_that_does_not_fit_ends_the_command_with_one_line(
    reference: Reference, cell: Cell, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, str], told: str
) -> None:
    path = kept(tmp_path, replace(reference, **changes))
    assert main(["plan", "--model", cell.model, "--device", cell.device, "--reference", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert f"{path}: {told}" in err


def test_two_runs_of_one_server_tell_what_differs_by_chance(target: EvalTarget, good: EvalReference, tmp_path: Path) -> None:
    def written_again(rows: Sequence[Sample]) -> Path:
        (tmp_path / "evals").mkdir(exist_ok=True)
        path = tmp_path / "evals" / f"{target.name}.samples.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return tmp_path

    again = written_again(samples(range(6), healed=range(1100, 1106)))
    assert with_discordance(good, target, again).discordance == pytest.approx(12 / ITEMS, abs=1e-5)
    with pytest.raises(UsageError, match="was asked 16 of its 1180 items"):
        with_discordance(good, target, written_again(samples(items=16)))


def test_the_shipped_reference_is_of_the_shipped_weights(cell: Cell) -> None:
    """Whoever trains hallmark-tiny again, or changes a task, records its reference again."""
    shipped = reference_of(cell, None)
    assert shipped is not None
    assert shipped.evals.keys() == {target.name for target in cell.evals}
    for target in cell.evals:
        assert shipped.evals[target.name].share == pytest.approx(target.reference, abs=0.002)
