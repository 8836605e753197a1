"""Which checks a spec demands of its cell: the manifest, computed from data before anything is collected or run.

The tests carry these ids in their `check` marker. A check that is demanded here and that no test
produces evidence for makes the run INCOMPLETE, so forgetting a test cannot pass for passing it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name

from hallmark.core.records import ManifestEntry, Waiver
from hallmark.core.redact import MASK, is_secret_name
from hallmark.specs.cell import Cell
from hallmark.specs.model import Feature, LoraAdapter


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """One API check that every cell with its feature must pass."""

    id: str
    title: str
    feature: Feature | None = None
    guarded: bool = False
    """Demanded only of a server that admits its clients by a key."""
    runtime: bool = False
    """Demanded only where the runtime sidecar is part of what is certified."""
    of_cell: Callable[[Cell], bool] = lambda cell: True
    """Demanded only of these cells."""


SERVER_CHECKS = (
    ServerCheck("server.health", "/health answers 200 while the server serves"),
    ServerCheck("server.version", "the engine that runs is the one that the spec pins"),
    ServerCheck("server.model", "the served model and its context length are those of the spec"),
    ServerCheck(
        "server.architecture",
        "the weights that are served have the architecture of the spec",
        of_cell=lambda cell: bool(cell.architecture),
    ),
    ServerCheck(
        "server.tokenizer", "the tokenizer is the one of the spec", of_cell=lambda cell: cell.weights.tokenizer is not None
    ),
    ServerCheck("server.auth", "nobody gets in without the key: on no route, by no near miss", guarded=True),
    ServerCheck("server.completions", "a completion answers in the OpenAI form", Feature.COMPLETIONS),
    ServerCheck("server.max-tokens", "max_tokens is kept and finish_reason says so", Feature.COMPLETIONS),
    ServerCheck("server.stop", "a stop sequence ends the text and is not in it", Feature.COMPLETIONS),
    ServerCheck("server.seed", "a seed repeats a sample, another seed gives another", Feature.COMPLETIONS),
    ServerCheck("server.stream-completions", "a streamed completion is the same as a whole one", Feature.COMPLETIONS),
    ServerCheck("server.usage-completions", "usage counts agree with the model's own tokenizer", Feature.COMPLETIONS),
    ServerCheck("server.chat", "the chat template works: a sentence is given back", Feature.CHAT),
    ServerCheck("server.stream-chat", "a streamed chat answer is the same as a whole one", Feature.CHAT),
    ServerCheck("server.usage-chat", "usage counts agree with template and tokenizer", Feature.CHAT),
    ServerCheck("server.logprobs", "log-probabilities are there and consistent", Feature.LOGPROBS),
    ServerCheck("server.structured-output", "an answer obeys its JSON schema", Feature.STRUCTURED_OUTPUT),
    ServerCheck("server.bad-request.invalid-json", "a body that is not JSON is refused", Feature.COMPLETIONS),
    ServerCheck("server.bad-request.unknown-model", "an unknown model is refused", Feature.COMPLETIONS),
    ServerCheck("server.bad-request.missing-prompt", "a body without a prompt is refused", Feature.COMPLETIONS),
    ServerCheck("server.bad-request.wrong-type", "a value of the wrong type is refused", Feature.COMPLETIONS),
    ServerCheck("server.bad-request.out-of-range", "a temperature out of range is refused", Feature.COMPLETIONS),
    ServerCheck("server.bad-request.context-overflow", "a prompt beyond the context is refused", Feature.COMPLETIONS),
    ServerCheck("server.runtime-series", "the sidecar offers every standard series, and says from which source", runtime=True),
    ServerCheck("server.runtime-metrics", "the standard metrics agree with what the client counted and timed", runtime=True),
)


def demanded(cell: Cell, *, guarded: bool = False) -> tuple[ManifestEntry, ...]:
    """Every check of `cell`, in the order in which they run; `guarded`: its server demands a key."""
    waivers = {w.check: Waiver(owner=w.owner, expires=w.expires, reason=w.reason) for w in cell.entry.waivers}
    entries = (*_spec(cell), *_server(cell, guarded=guarded), *_evals(cell), *_perf(cell))
    return tuple(replace(entry, waiver=waivers.get(entry.check)) for entry in entries) if waivers else entries


def _spec(cell: Cell) -> Iterator[ManifestEntry]:
    yield ManifestEntry(check="spec.device", kind="spec", title=f"{cell.device_spec.title} is present")
    yield ManifestEntry(check="spec.environment", kind="spec", title="the server's environment is told by its own interpreter")
    yield ManifestEntry(check="spec.weights", kind="spec", title="the weights are where the spec says")
    yield ManifestEntry(check="spec.targets", kind="spec", title="the spec states accuracy and performance targets")
    for requirement, title in requirement_ids(cell):
        yield ManifestEntry(check=f"spec.{requirement}", kind="spec", title=title)


def requirement_ids(cell: Cell) -> Iterator[tuple[str, str]]:
    """(id, title) of each requirement on the server's environment."""
    for name, specifier in cell.impl.system_deps.items():
        yield f"system.{name}", f"{name} {specifier or 'present'} on the machine"
    for name, specifier in cell.impl.python_deps.items():
        yield f"python.{canonicalize_name(name)}", f"{name}{specifier} in the server's Python"
    for name in cell.impl.python_excluded:
        yield f"python.{canonicalize_name(name)}", f"{name} is not in the server's Python"
    for name, value in cell.env_vars.items():
        yield f"env.{name}", f"{name}={MASK if is_secret_name(name) else value} in the server's environment"
    for name, commit in cell.impl.pinned_commits.items():
        yield f"commit.{name}", f"{name} is of {commit}, unchanged"


def undeclared_checks(cell: Cell, *, guarded: bool = False) -> Iterator[str]:
    """The API checks of features that the cell does not declare: nothing is demanded there, so nothing is asked."""
    for check in SERVER_CHECKS:
        undeclared = check.feature is not None and check.feature not in cell.impl.features
        if undeclared or (check.guarded and not guarded) or (check.runtime and not cell.impl.runtime) or not check.of_cell(cell):
            yield check.id


def _server(cell: Cell, *, guarded: bool) -> Iterator[ManifestEntry]:
    undeclared = frozenset(undeclared_checks(cell, guarded=guarded))
    for check in SERVER_CHECKS:
        if check.id not in undeclared:
            yield ManifestEntry(check=check.id, kind="server", title=check.title)
    for adapter in lora_adapters(cell):
        title = f"the adapter {adapter.name} is loaded, listed, at work, and leaves the model as it was"
        yield ManifestEntry(check=f"server.lora.{adapter.name}", kind="server", title=title)


def lora_adapters(cell: Cell) -> tuple[LoraAdapter, ...]:
    """The adapters that the cell must be able to load while it serves."""
    return cell.lora if Feature.LORA in cell.impl.features else ()


def _evals(cell: Cell) -> Iterator[ManifestEntry]:
    for target in cell.evals:
        yield ManifestEntry(check=f"evals.{target.name}", kind="evals", title=f"{target.task} reaches {target.floor:.4g}")


def _perf(cell: Cell) -> Iterator[ManifestEntry]:
    for point in cell.perf:
        title = f"ISL {point.isl}, OSL {point.osl}, {point.concurrency} at a time: tier {cell.impl.status.required_tier.value}"
        yield ManifestEntry(check=f"perf.{point.name}", kind="perf", title=title)
