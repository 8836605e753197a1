"""A reference: what a server that is known to be good answered, item by item, in one small file.

`MODEL.json.gz` in `references/` beside the spec, or in the folder of `--reference`: JSON, compressed, with a digest of its
content. Read before anything runs: a file that is not what it says, or is of something else than what is about to be measured,
is a UsageError. What only the answers show (other prompts, other items) is found where they are compared (`paired.py`).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hallmark.core.errors import UsageError
from hallmark.evals.items import SEVERAL, Item
from hallmark.evals.weights_mark import weights_mark
from hallmark.specs.cell import Cell
from hallmark.specs.model import EvalTarget
from hallmark.stats.fingerprint import Fingerprint
from hallmark.stats.power import POWER, chance_of_pass, items_to_prove, provable_margin

FOLDER = "references"
SUFFIX = ".json.gz"
KEPT = f"evals/reference{SUFFIX}"
"""Where a run's folder keeps the reference that it was compared with."""
FORMAT = 1
_MOST_BYTES = 256 * 1024 * 1024
"""Unpacked: a hundred evals of ten thousand items each are less."""
_CLOCKS = timedelta(days=1)
"""By so much may two machines disagree about the day."""
_AGAIN = "record it again: hallmark reference record"


@dataclass(frozen=True, kw_only=True)
class EvalReference:
    """One eval of a reference: how it was asked, and its items in the order of the task."""

    task: str
    metric: str
    """lm-eval's key, such as `exact_match,none`."""
    api: str
    few_shot: int
    gen_kwargs: Mapping[str, Any]
    lm_eval: str
    """Its version."""
    questions: tuple[str, ...]
    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    right: str
    """A digit for each item: 1 where the answer was wholly right, else 0."""
    scores: tuple[float, ...] = ()
    """Of each item, where some are neither right nor wrong."""
    weights: tuple[float, ...] = ()
    """Of each item in the score, where they differ."""
    subtasks: Mapping[str, int] = field(default_factory=dict)
    """Of a group of tasks each with its items."""
    clusters: tuple[str, ...] = ()
    """Of each item what it belongs to, where the spec names a field for that."""
    logprobs: tuple[tuple[float, ...], ...] = ()
    """Of each item its choices', where the task compares likelihoods."""
    discordance: float | None = None
    """Share of the items of which another run of the same server had another right or wrong; None where there was none."""

    @classmethod
    def of(
        cls,
        target: EvalTarget,
        items: tuple[Item, ...],
        *,
        few_shot: int,
        lm_eval: str,
        subtasks: Mapping[str, int] | None = None,
    ) -> EvalReference:
        """UsageError where the items are not all there."""
        if [item.number for item in items] != list(range(len(items))):
            raise UsageError(f"evals.{target.name}: items of the task are missing", hint="record a run without --limit")
        return cls(
            task=target.task,
            metric=SEVERAL.join(target.metrics),
            api=target.api,
            few_shot=few_shot,
            gen_kwargs=dict(target.gen_kwargs),
            lm_eval=lm_eval,
            questions=tuple(item.question for item in items),
            prompts=tuple(item.prompt for item in items),
            answers=tuple(item.answer for item in items),
            right="".join(str(int(item.score == 1)) for item in items),
            scores=tuple(round(item.score, 6) for item in items) if any(item.score not in (0.0, 1.0) for item in items) else (),
            weights=tuple(round(item.weight, 6) for item in items) if any(item.weight != 1 for item in items) else (),
            subtasks=dict(subtasks or {}),
            clusters=tuple(item.cluster for item in items) if target.cluster else (),
            logprobs=tuple(item.logprobs for item in items) if any(item.logprobs for item in items) else (),
        )

    @property
    def n(self) -> int:
        return len(self.right)

    @property
    def share(self) -> float:
        """The score: of right answers, or the mean of the items' own."""
        weights = self.weights or (1.0,) * self.n
        return sum(self.score_of(number) * weight for number, weight in enumerate(weights)) / self.n

    @property
    def is_simple(self) -> bool:
        """Whether each item is right or wrong, by itself, and counts the same, as Tango's interval and the bets want it."""
        return not (self.scores or self.clusters or self.weights)

    @property
    def may_end_early(self) -> bool:
        """Whether blocks of its items can be asked: not of a group, whose items lm-eval knows by their subtasks."""
        return self.is_simple and not self.subtasks

    def score_of(self, number: int) -> float:
        """The score of the item at that place of the task."""
        return self.scores[number] if self.scores else float(self.right[number])


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What one good run answered, and what it was a run of."""

    model: str
    weights: str
    """The mark of the weights (`weights_mark.py`)."""
    cell: str
    engine: str
    """Its name and version, such as `vllm 0.32.0`."""
    dtype: str
    recorded_at: str
    """When the run began: ISO 8601, UTC."""
    evals: Mapping[str, EvalReference]
    fingerprint: Fingerprint | None = None
    """What log-probabilities its server gave to some fixed texts, where the run asked for them."""
    adapters: Mapping[str, Fingerprint] = field(default_factory=dict)
    """What it gives to them with an adapter on, by the adapter's name: where the server has that, it is left on."""

    @property
    def title(self) -> str:
        return ", ".join(filter(None, (self.engine, self.dtype, self.recorded_at[:10])))

    @cached_property
    def plain(self) -> dict[str, Any]:
        return asdict(self)


def write_reference(path: Path, reference: Reference) -> None:
    """The same content always gives the same bytes."""
    content = _canonical(reference.plain)
    whole = _canonical({"hallmark_reference": FORMAT, "sha256": _digest(content), "content": json.loads(content)})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(gzip.compress(whole, 9, mtime=0))
    partial.replace(path)


def read_reference(path: Path) -> Reference:
    """UsageError where it cannot be read, is damaged, was made by a later hallmark, or says a day that has not come."""
    where = str(path)
    try:
        with gzip.open(path) as stream:
            data = stream.read(_MOST_BYTES + 1)
        whole = json.loads(data)
        stated, content, digest = whole["hallmark_reference"], whole["content"], whole["sha256"]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as exc:
        raise UsageError(f"is no reference, or a damaged one ({type(exc).__name__})", where=where, hint=_AGAIN) from exc
    if stated != FORMAT:
        raise UsageError(f"is a reference of format {stated}, and this hallmark reads {FORMAT}", where=where, hint=_AGAIN)
    if digest != _digest(_canonical(content)):
        raise UsageError("is a damaged reference: its content is not what its digest says", where=where, hint=_AGAIN)
    try:
        reference = TypeAdapter(Reference).validate_python(content)
        recorded = datetime.fromisoformat(reference.recorded_at).astimezone(UTC)
    except (ValidationError, ValueError) as exc:
        raise UsageError("is a reference that says something else than one has to say", where=where, hint=_AGAIN) from exc
    if recorded > datetime.now(UTC) + _CLOCKS:
        raise UsageError(f"is a reference from the future: {reference.recorded_at}", where=where, hint="check the clocks")
    for name, one in reference.evals.items():
        of_each = [one.questions, one.prompts, one.answers, *filter(None, (one.scores, one.clusters, one.weights))]
        if not one.right or {len(each) for each in of_each} != {one.n} or set(one.right) - {"0", "1"}:
            raise UsageError(f"evals.{name} of the reference has not the same number of everything", where=where, hint=_AGAIN)
    for found in filter(None, (reference.fingerprint, *reference.adapters.values())):
        if damaged := [name for name, probe in found.probes.items() if len(probe.tokens) != len(probe.logprobs)]:
            raise UsageError(f"a fingerprint of the reference is damaged: {damaged[0]}", where=where, hint=_AGAIN)
    return reference


def reference_path(cell: Cell, folder: Path | None) -> Path:
    """Where the cell's reference is, if it has one."""
    return (folder or cell.spec_file.parent / FOLDER) / f"{cell.model}{SUFFIX}"


def reference_of(cell: Cell, folder: Path | None) -> Reference | None:
    """The cell's reference, fit to be compared with; None where there is none. `folder` is that of `--reference`.

    UsageError with the reason where it is of something else than the cell is about to measure.
    """
    path = reference_path(cell, folder)
    if not path.is_file() or not cell.evals:
        return None
    reference = read_reference(path)
    for what, theirs, ours in (
        ("model", reference.model, cell.model),
        ("weights", reference.weights, weights_mark(cell.weights, cell.spec_file)),
    ):
        if theirs != ours:
            message = f"is a reference of other {what}: {_short(theirs)}, not {_short(ours)}"
            raise UsageError(message, where=str(path), hint=_AGAIN)
    for target in cell.evals:
        if one := reference.evals.get(target.name):
            _require_same_eval(target, one, where=str(path))
    return reference


def _require_same_eval(target: EvalTarget, one: EvalReference, *, where: str) -> None:
    for what, theirs, ours in (
        ("task", one.task, target.task),
        ("metric", one.metric, SEVERAL.join(target.metrics)),
        ("clusters", "there" if one.clusters else "", "there" if target.cluster else ""),
        ("API", one.api, target.api),
        ("gen_kwargs", dict(one.gen_kwargs), dict(target.gen_kwargs)),
        ("number of items", one.n, target.n or one.n),
        ("lm-eval version", one.lm_eval, _lm_eval() or one.lm_eval),
    ):
        if theirs != ours:
            message = f"evals.{target.name}: the reference is of another {what}: {theirs}, not {ours}"
            raise UsageError(message, where=where, hint=_AGAIN)
    if one.share <= target.floor:
        message = f"evals.{target.name}: the reference's own score {one.share:.4g} misses the floor {target.floor:.4g}"
        raise UsageError(message, where=where, hint="a reference must itself be good enough")
    if why := unprovable(target, one):
        raise UsageError(f"evals.{target.name}: {why[0]}", where=where, hint=why[1])


def unprovable(target: EvalTarget, one: EvalReference) -> tuple[str, str] | None:
    """(what, what would do) where these items cannot prove the target's margin even of a healthy server; None where they can."""
    margin = margin_of(target, one)
    if not one.is_simple or one.discordance is None or chance_of_pass(one.n, margin=margin, discordance=one.discordance) >= POWER:
        return None
    proven = 100 * provable_margin(one.n, discordance=one.discordance)
    asked = f"{100 * margin:.2f} are asked for"
    what = f"{one.n:,} items at {100 * one.discordance:.2g} % discordance prove {proven:.2f} points, {asked}"
    needed = items_to_prove(margin, discordance=one.discordance)
    return what, f"widen the tolerance, or take {needed:,} items"


def margin_of(target: EvalTarget, reference: EvalReference) -> float:
    """What may be lost: the target's tolerance, and never so much that the target's floor would be missed."""
    return min(target.tolerance, reference.share - target.floor)


def _lm_eval() -> str:
    try:
        return version("lm-eval")
    except PackageNotFoundError:
        return ""


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:20]}..."


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
