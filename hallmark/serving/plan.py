"""Cell + environment -> LaunchPlan. Pure: reads nothing, starts nothing, changes no environment.

Precedence, as everywhere: command line > lease > environment > spec > default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import UsageError
from hallmark.core.precedence import Layer, PlanValue, Settled, grave_warnings, settle
from hallmark.core.process import ATTEMPT
from hallmark.core.redact import is_secret_name
from hallmark.serving.server import DEVICE_WAIT_S, LISTENS_WITHIN_S, LaunchPlan
from hallmark.specs.cell import Cell
from hallmark.specs.device_settings import Configured, distributions, of_device, of_runtime, own_variables, unsupported

DEFAULT_VARS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""No server under test reports about itself to anyone, unless the user says otherwise."""

ATTACHED_READY_S = 60.0
"""How long a server that runs already may take to become ready, where nobody says that it may take longer."""

_OF_THE_SUITE = re.compile(rf"(?!{ATTEMPT}$)(VIRTUAL_ENV|PYTHONPATH|PYTHONHOME|PYTEST_.*|HALLMARK_.*)")
"""Variables that are about the tests; the server that is certified must not hear of them. By the one that it keeps it is found
where its attempt was killed.
"""

Installed = Callable[[Mapping[str, str]], Mapping[str, str] | None]
"""The server's environment -> what is installed for it (distribution -> version), or None where nobody can tell.

Asked only where the spec has a value that follows from a version.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSettings:
    """What the command line, and where said so the environment, say about serving."""

    host: str = "127.0.0.1"
    port: int = 0
    """Already chosen by the caller where the user left it open."""
    server_url: str = ""
    api_key: str = ""
    engine_args: Mapping[str, str] = field(default_factory=dict)
    """Of the command line."""
    environment_args: Mapping[str, str] = field(default_factory=dict)
    """Engine arguments that a variable of the environment states."""
    env_vars: Mapping[str, str] = field(default_factory=dict)
    """Variables of the server that the command line states."""
    device_wait_s: float | None = None
    """How long a device that is in use is waited for; None for the default."""
    server_wait_s: float | None = None
    """How long a server that runs already may take to listen and to become ready; None for the defaults."""
    leased: Mapping[str, str] | None = None
    """The device is held by who started this run: the variables that show its server no other. None where it is not."""
    strict_config: bool = False
    """Stop instead of warning where a spec's value is displaced, or where one had to be guessed."""


def not_asked(_: Mapping[str, str]) -> None:
    """What is installed, where nobody can be asked."""


def asked_at_start(_: Mapping[str, str]) -> None:
    """What is installed, where a start would ask and nobody does yet: what follows from it is told, and is no reason to stop."""


def make_plan(
    cell: Cell,
    settings: LaunchSettings,
    *,
    python: Path | None,
    environ: Mapping[str, str],
    folder: Path,
    installed: Installed = not_asked,
) -> LaunchPlan:
    """The plan to serve `cell` with the interpreter `python` (None where the server runs already).

    UsageError under `strict_config` where a spec's value is displaced or had to be guessed, and for a secret among the
    engine's arguments; either way nothing was applied.
    """
    plain = _Arguments(cell, settings)
    tp_size = plain.tp_size
    config = cell.entry.device_configs.get(tp_size)
    own = own_variables(cell, tp_size)
    runtime = of_runtime(cell, tp_size, plain.stated, {**own, **environ, **settings.env_vars})
    variables = settle(_variable_layers({**runtime.env_vars, **own}, settings=settings, environ=environ))
    env = _whole_environment(environ, variables.values, python=python)
    versions = installed(env) if distributions(config) and not settings.server_url else None
    of_config = of_device(config, versions)
    arguments = plain.settled(of_config, runtime)
    open_yet = of_config.doubts if installed is asked_at_start else ()
    doubts = [*(() if open_yet else of_config.doubts), *runtime.doubts]
    if not runtime.static and (problem := unsupported(cell, tp_size, {v.name: v.value for v in arguments.values})):
        doubts.append(problem)
    strict = "--strict-config" if settings.strict_config else ""
    grave = grave_warnings((variables, arguments), () if settings.server_url else doubts, strict=strict)
    return LaunchPlan(
        cell=cell.id,
        endpoint=Endpoint(
            base_url=settings.server_url.rstrip("/") or f"http://{settings.host}:{settings.port}",
            model=cell.served_model,
            api_key=settings.api_key,
        ),
        argv=() if settings.server_url or python is None else _argv(cell, settings, python=python, arguments=arguments.values),
        env=env,
        set_vars=variables.values,
        values=arguments.values,
        log_path=folder / "server.log",
        startup_timeout_s=_startup_timeout_s(cell, settings),
        listen_timeout_s=LISTENS_WITHIN_S if settings.server_wait_s is None else settings.server_wait_s,
        stall_timeout_s=cell.entry.stall_timeout_s,
        device="" if settings.server_url or settings.leased is not None else cell.device_spec.detect.unit,
        device_wait_s=DEVICE_WAIT_S if settings.device_wait_s is None else settings.device_wait_s,
        warnings=(*grave, *variables.notices, *open_yet),
    )


def _startup_timeout_s(cell: Cell, settings: LaunchSettings) -> float:
    if not settings.server_url:
        return cell.entry.startup_timeout_s
    return max(ATTACHED_READY_S, settings.server_wait_s or 0)


class _Arguments:
    """The engine's arguments, as far as they do not follow from others."""

    def __init__(self, cell: Cell, settings: LaunchSettings) -> None:
        self._default = Layer("default", {"max_model_len": str(cell.entry.max_context)})
        revision = {"revision": cell.weights.revision} if cell.weights.revision else {}
        self._own = Layer("spec", revision | _named(cell.entry.engine_args))
        self._said = (
            Layer("environment", _named(settings.environment_args)),
            Layer("command line", _named(settings.engine_args)),
        )
        plain = settle([self._own, *self._said])
        self.stated = {v.name: v.value for v in plain.values}
        for name, value in self.stated.items():
            if is_secret_name(name) and value not in ("", "true", "false"):
                raise UsageError(
                    f"{name} would put a secret on a command line",
                    where=cell.id,
                    hint=f"set a variable of the environment instead, such as VLLM_{name.upper()}",
                )

    @property
    def tp_size(self) -> int:
        stated = self.stated.get("tensor_parallel_size", "1")
        if not stated.isdecimal() or int(stated) < 1:
            raise UsageError(
                f"'{stated}' is not a whole number from 1 up", where="tensor_parallel_size", hint="correct the engine argument"
            )
        return int(stated)

    def settled(self, of_config: Configured, runtime: Configured) -> Settled:
        """All of them; what the entry itself says is nearer than its configurations."""
        configured = [Layer("spec", runtime.engine_args), Layer("spec", of_config.engine_args)]
        return settle([self._default, *configured, self._own, *self._said])


def _named(values: Mapping[str, object]) -> dict[str, str]:
    """One argument has one name, however it is spelt."""
    return {name.replace("-", "_"): _text(value) for name, value in values.items()}


def _variable_layers(wanted: Mapping[str, str], *, settings: LaunchSettings, environ: Mapping[str, str]) -> list[Layer]:
    """The variables that the spec or hallmark wants; one that is set already is kept."""
    leased = settings.leased or {}
    names = {**DEFAULT_VARS, **wanted, **leased, **settings.env_vars}
    return [
        Layer("default", DEFAULT_VARS),
        Layer("spec", wanted),
        Layer("environment", {name: environ[name] for name in names if name in environ}),
        Layer("lease", leased),
        Layer("command line", settings.env_vars),
    ]


def _whole_environment(environ: Mapping[str, str], set_vars: tuple[PlanValue, ...], *, python: Path | None) -> dict[str, str]:
    env = {name: value for name, value in environ.items() if not _OF_THE_SUITE.fullmatch(name)}
    env |= {v.name: v.value for v in set_vars}
    if python is not None:
        # Tools that the engine calls by name (ninja, say) are those of its own environment.
        env["PATH"] = os.pathsep.join(filter(None, [str(python.parent), env.get("PATH")]))
    return env


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _argv(cell: Cell, settings: LaunchSettings, *, python: Path, arguments: tuple[PlanValue, ...]) -> tuple[str, ...]:
    return (
        *(str(python), "-m", cell.impl.engine.module),
        *("--model", cell.weights_source, "--served-model-name", cell.served_model),
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
