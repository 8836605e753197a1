"""Is a run about the server that runs now? It is asked who it is, and that is held against what was measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from hallmark.client.models import MODELS
from hallmark.client.wire import Answer, WireClient
from hallmark.core.errors import CheckFailed, HallmarkError, Inconclusive, InfrastructureError, UsageError
from hallmark.core.files import object_at
from hallmark.core.precedence import PlanValue
from hallmark.core.subjects import Subjects, read_subjects, served_version
from hallmark.core.verdict import Verdict
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.document import ENVIRONMENT_FILE
from hallmark.environment.weights_manifest import manifest_of
from hallmark.evals.fingerprints import kept_fingerprint
from hallmark.report.build import LAUNCH_PLAN_FILE
from hallmark.serving.argument_differences import compared
from hallmark.serving.listener import listeners_at
from hallmark.stats.fingerprint import LONG, Fingerprint, judge_fingerprint, tolerance

KEY_VARIABLE = "HALLMARK_API_KEY"
_REFUSED = (401, 403)
_VERSION, _MODEL, _NUMERICS, _WEIGHTS = "engine version", "model", "numerics", "weights"
_SOUGHT = ((_VERSION,), (_MODEL,), (_NUMERICS, _WEIGHTS))
"""Of each of these one must be seen to be the same. A name is no model: other weights may be served under it."""


class Agreement(Enum):
    SAME = auto()
    STALE = auto()
    """Another one runs there than was measured."""
    UNTOLD = auto()
    """The server does not tell, or the run did not measure it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One thing of a server, beside what was measured."""

    what: str
    agreement: Agreement
    told: str

    def __str__(self) -> str:
        return f"{self.what}: {self.told}"


def undecided(found: list[Comparison]) -> list[str]:
    """What keeps it from being known whether the run is about that server, where nothing says that it is not."""
    same = {one.what for one in found if one.agreement is Agreement.SAME}
    lacking = [whats for whats in _SOUGHT if same.isdisjoint(whats)] if found else []
    return ["; ".join(str(one) for one in found if one.what in whats) for whats in lacking]


def stale(found: list[Comparison]) -> list[Comparison]:
    """What says that it is not."""
    return [one for one in found if one.agreement is Agreement.STALE]


def held_against(folder: Path, url: str, weights: Path | None) -> list[Comparison]:
    """All that could be compared; InfrastructureError where nobody answers, UsageError where nobody is admitted."""
    run = _Measured.of(folder)
    with WireClient(url.rstrip("/"), run.model, api_key=os.environ.get(KEY_VARIABLE, "")) as client:
        models = _models(client, url)
        found = [_version(run, client), *_model(run, models), *_arguments(run, url), _fingerprint(run, client)]
    return [*found, _weights(run, weights, root=str(models.get(run.model, {}).get("root") or ""))]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What a run's folder tells of its server."""

    folder: Path
    environment: Mapping[str, Any]
    plan: Mapping[str, Any]
    subjects: Subjects

    @classmethod
    def of(cls, folder: Path) -> _Measured:
        documents = [object_at(folder / name) for name in (ENVIRONMENT_FILE, LAUNCH_PLAN_FILE)]
        return cls(folder=folder, environment=documents[0], plan=documents[1], subjects=read_subjects(folder) or Subjects())

    @property
    def model(self) -> str:
        return str(self.plan.get("served_model", ""))

    @property
    def entry(self) -> Mapping[str, Any]:
        """What the server said of its model then."""
        served = self.environment.get("served")
        listed = served.get("models") if isinstance(served, dict) else None
        return _entries(listed).get(self.model, {})

    @property
    def values(self) -> list[PlanValue]:
        """The engine's arguments; the variables beside them are in capitals."""
        rows = self.plan.get("values")
        named = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        pairs = [(str(row.get("name")), str(row.get("value"))) for row in named]
        return [PlanValue(name=name, value=value, origin="spec") for name, value in pairs if name.islower()]

    def value(self, name: str) -> str:
        return next((value.value for value in self.values if value.name == name), "")


def _models(client: WireClient, url: str) -> Mapping[str, Mapping[str, Any]]:
    try:
        answer = client.get(MODELS)
    except CheckFailed as exc:
        raise InfrastructureError(f"no server answers there: {_line(exc)}", where=url, hint="is it running?") from exc
    if answer.status in _REFUSED:
        hint = f"set the variable {KEY_VARIABLE}"
        raise UsageError(f"the server admits nobody without its key (status {answer.status})", where=url, hint=hint)
    return _entries(_json(answer))


def _version(run: _Measured, client: WireClient) -> Comparison:
    measured, told = served_version(run.environment), ""
    try:
        answer = client.get("/version")
        told = str((_json(answer) or {}).get("version", "")) if answer.status == 200 else ""
    except (CheckFailed, AttributeError):
        pass
    if not measured:
        return _untold(_VERSION, "the run has none that the server told")
    if not told:
        return _untold(_VERSION, f"the server does not tell it; {measured} was measured")
    if told == measured:
        return _same(_VERSION, told)
    return _stale(_VERSION, f"{told} runs there, {measured} was measured")


def _model(run: _Measured, models: Mapping[str, Mapping[str, Any]]) -> Iterator[Comparison]:
    if not run.model:
        yield _untold(_MODEL, "the run did not get as far as to a server")
        return
    if run.model not in models:
        there = ", ".join(models) or "no model"
        yield _stale(_MODEL, f"{there} is served there, {run.model} was measured")
        return
    yield _same(_MODEL, run.model)
    for name, key in (("context length", "max_model_len"), ("name of its weights", "root")):
        now, then = models[run.model].get(key), run.entry.get(key)
        if now is None or then is None:
            yield _untold(name, f"the server {'does' if now is None else 'did'} not tell it")
        elif now == then:
            yield _same(name, str(now))
        elif key == "root" and any(str(path).startswith("/") for path in (now, then)):
            yield _untold(name, f"{now} there, {then} when it was measured: a folder's name does not tell what lies in it")
        else:
            yield _stale(name, f"{now} there, {then} was measured")


def _arguments(run: _Measured, url: str) -> Iterator[Comparison]:
    commands = [one.command for one in listeners_at(url) if "--model" in one.command or "serve" in one.command]
    if not commands:
        yield _untold("arguments", "the server does not tell them, and its process is not seen from here")
        return
    differences = compared(run.values, commands[0])
    for difference in differences:
        found, wanted = difference.found or "nothing", difference.wanted or "nothing"
        told = f"{difference.name} is {found} there, {wanted} was measured"
        yield _stale("arguments", told) if difference.contradicts else _untold("arguments", told)
    if not differences:
        yield _same("arguments", "as they were, by the words of its process")


def _fingerprint(run: _Measured, client: WireClient) -> Comparison:
    from hallmark.client.fingerprints import take_fingerprint
    from hallmark.client.offers import Offers

    what = _NUMERICS
    try:
        kept = kept_fingerprint(run.folder / "evals")
        if kept is None:
            return _untold(what, "the run kept no fingerprint (it is made where evals run)")
        here = take_fingerprint(client, Offers(client), None, context=0)
    except (CheckFailed, Inconclusive, HallmarkError) as exc:
        return _untold(what, _line(exc))
    dtype = run.value("dtype")
    limit = tolerance(kept, reference_dtype=dtype, dtype=dtype)
    evidence = judge_fingerprint(_short(kept), _short(here), limit=limit, source="the run")
    if evidence.verdict is Verdict.PASS:
        return _same(what, f"its log-probabilities differ by {evidence.reason}")
    if evidence.verdict is Verdict.FAIL:
        return _stale(what, f"another model answers there: {evidence.reason}")
    return _untold(what, evidence.reason)


def _short(found: Fingerprint) -> Fingerprint:
    """Without the text that takes the model's own tokenizer to make."""
    return replace(found, probes={name: probe for name, probe in found.probes.items() if name != LONG})


def _weights(run: _Measured, folder: Path | None, *, root: str) -> Comparison:
    """`root`: where the server says that its weights are; in a container that may be no place of this machine."""
    what = _WEIGHTS
    measured = run.subjects.of_kind("weights")
    if folder is None:
        return _untold(what, "a server does not tell their digest; --against-weights DIR reads them on its machine")
    if not measured:
        return _untold(what, f"their digest was not measured: {run.subjects.unknown.get('weights', 'the run has no subjects')}")
    try:
        detail = manifest_of(folder, DigestCache.of_user(os.environ)).detail()
    except Inconclusive as exc:
        raise UsageError(str(exc), where="--against-weights", hint="name the folder of the weights") from exc
    before, now = (_digests(one) for one in (measured[0].detail, detail))
    if before == now and Path(root).is_absolute() and Path(root).is_dir() and not Path(root).samefile(folder):
        return _untold(what, f"what was measured lies in {folder}, and the server says that it reads {root}")
    if before == now:
        return _same(what, f"sha256:{measured[0].sha256}, as in {folder}")
    other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return _stale(what, f"{', '.join(other[:3])}{' and more' if len(other) > 3 else ''} in {folder} is not what was measured")


def _digests(detail: Mapping[str, Any]) -> dict[str, str]:
    return {str(one.get("name")): str(one.get("digest")) for one in detail.get("resources", ())}


def _entries(listed: Any) -> dict[str, Mapping[str, Any]]:
    data = listed.get("data") if isinstance(listed, dict) else None
    return {str(one.get("id")): one for one in data if isinstance(one, dict)} if isinstance(data, list) else {}


def _json(answer: Answer) -> Any:
    try:
        return answer.json()
    except CheckFailed:
        return None


def _line(exc: BaseException) -> str:
    return str(exc).partition("\n")[0]


def _same(what: str, told: str) -> Comparison:
    return Comparison(what=what, agreement=Agreement.SAME, told=told)


def _stale(what: str, told: str) -> Comparison:
    return Comparison(what=what, agreement=Agreement.STALE, told=told)


def _untold(what: str, told: str) -> Comparison:
    return Comparison(what=what, agreement=Agreement.UNTOLD, told=told)
