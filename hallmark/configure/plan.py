"""Cell + environment -> LaunchPlan. Pure: reads nothing, starts nothing, changes no environment.

Precedence, as everywhere: command line > environment > spec > default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.serving.server import Endpoint, LaunchPlan, Origin, PlanValue
from hallmark.specs.cell import Cell

DEFAULT_VARS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""No server under test reports about itself to anyone, unless the user says otherwise."""

_OF_THE_SUITE = re.compile(r"VIRTUAL_ENV|PYTHONPATH|PYTHONHOME|PYTEST_.*|HALLMARK_.*")
"""Variables that are about the tests; the server that is certified must not hear of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """What the command line says about serving."""

    host: str = "127.0.0.1"
    port: int = 0
    """Already chosen by the caller where the user left it open."""
    server_url: str = ""
    api_key: str = ""
    engine_args: Mapping[str, str] = field(default_factory=dict)


def make_plan(
    cell: Cell, settings: LaunchSettings, *, python: Path | None, environ: Mapping[str, str], folder: Path
) -> LaunchPlan:
    """The plan to serve `cell` with the interpreter `python` (None where the server runs already)."""
    set_vars, warnings = _variables(cell, environ)
    arguments = _engine_arguments(cell, settings)
    return LaunchPlan(
        cell=cell.id,
        endpoint=Endpoint(
            base_url=settings.server_url.rstrip("/") or f"http://{settings.host}:{settings.port}",
            model=cell.model,
            api_key=settings.api_key,
        ),
        argv=() if settings.server_url or python is None else _argv(cell, settings, python=python, arguments=arguments),
        env=_whole_environment(environ, set_vars, python=python),
        set_vars=set_vars,
        values=arguments,
        log_path=folder / "server.log",
        startup_timeout_s=60 if settings.server_url else cell.entry.startup_timeout_s,
        device="" if settings.server_url else cell.device,
        warnings=warnings,
    )


def _variables(cell: Cell, environ: Mapping[str, str]) -> tuple[tuple[PlanValue, ...], tuple[str, ...]]:
    """The variables that the spec or hallmark wants; one that is set already is kept, and a difference warned of."""
    origins: dict[str, Origin] = dict.fromkeys(DEFAULT_VARS, "default")
    origins |= dict.fromkeys(cell.env_vars, "spec")
    values, warnings = [], []
    for name, wanted in (DEFAULT_VARS | cell.env_vars).items():
        there = environ.get(name)
        if there is None or there == wanted:
            values.append(PlanValue(name=name, value=wanted, origin=origins[name]))
            continue
        values.append(PlanValue(name=name, value=there, origin="environment", overrode=f"{origins[name]}: {wanted}"))
        warnings.append(f"{name}={there} is set in the environment and kept; the {origins[name]} says {wanted}")
    return tuple(values), tuple(warnings)


def _whole_environment(environ: Mapping[str, str], set_vars: tuple[PlanValue, ...], *, python: Path | None) -> dict[str, str]:
    env = {name: value for name, value in environ.items() if not _OF_THE_SUITE.fullmatch(name)}
    env |= {v.name: v.value for v in set_vars}
    if python is not None:
        # Tools that the engine calls by name (ninja, say) are those of its own environment.
        env["PATH"] = os.pathsep.join(filter(None, [str(python.parent), env.get("PATH")]))
    return env


def _engine_arguments(cell: Cell, settings: LaunchSettings) -> tuple[PlanValue, ...]:
    layers: tuple[tuple[Origin, Mapping[str, object]], ...] = (
        ("default", {"max_model_len": cell.entry.max_context}),
        ("spec", cell.entry.engine_args),
        ("command line", settings.engine_args),
    )
    merged: dict[str, PlanValue] = {}
    for origin, layer in layers:
        for given, value in layer.items():
            name = given.replace("-", "_")  # one argument, however it is spelt
            before = merged.get(name)
            overrode = f"{before.origin}: {before.value}" if before and before.value != _text(value) else ""
            merged[name] = PlanValue(name=name, value=_text(value), origin=origin, overrode=overrode)
    return tuple(merged.values())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _argv(cell: Cell, settings: LaunchSettings, *, python: Path, arguments: tuple[PlanValue, ...]) -> tuple[str, ...]:
    return (
        *(str(python), "-m", cell.impl.engine.module),
        *("--model", cell.weights_source, "--served-model-name", cell.model),
        *("--host", settings.host, "--port", str(settings.port)),
        *(word for argument in arguments for word in _flag(argument)),
    )


def _flag(argument: PlanValue) -> tuple[str, ...]:
    """`max_num_seqs: 8` -> --max-num-seqs 8; true -> --flag; false -> --no-flag."""
    name = argument.name.replace("_", "-")
    match argument.value:
        case "true":
            return (f"--{name}",)
        case "false":
            return (f"--no-{name}",)
        case value:
            return (f"--{name}", value)
