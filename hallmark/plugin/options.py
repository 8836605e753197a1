"""What the options come to: command line > environment (HALLMARK_...) > ini > default, each with its origin."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hallmark.core.option_table import by_name
from hallmark.core.parts import PARTS
from hallmark.core.records import SMOKE, part_reason
from hallmark.core.settings import Setting
from hallmark.plugin.arguments import OF_PYTEST, setting_of
from hallmark.plugin.marks import names_in
from hallmark.serving import option_values
from hallmark.serving.launchers import default_kind, kind_named
from hallmark.specs.catalogue import Selection
from hallmark.specs.smoke import SAMPLES

API_KEY_VARIABLE = "HALLMARK_API_KEY"
JWT_VARIABLE = "JWT_SECRET"
ENGINE_ARG_VARIABLE = "HALLMARK_ENGINE_ARG"
"""Secrets come by environment only: a command line is there for everybody to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be done, decided."""

    selection: Selection
    server: str
    server_url: str
    server_python: str
    image: str
    install_missing: bool
    strict_config: bool
    port: int
    environment_args: Mapping[str, str]
    """What a variable wants of the engine; the command line wins over it."""
    engine_args: Mapping[str, str]
    """What the command line wants of the engine instead of the spec."""
    server_env: Mapping[str, str]
    """Variables that the command line wants the server to have."""
    device_wait_s: float | None
    server_wait_s: float | None
    artifacts: Path
    summary: Path | None
    """The file that each report is appended to, as Markdown."""
    limit: int | None
    reference: Path | None
    """The folder of references in place of those beside the specs."""
    no_early_stop: bool
    """Whether an eval asks all its items, also where its reference could tell sooner."""
    smoke: bool
    attached: bool
    """Whether somebody else started the server."""
    guarded: bool
    """Whether clients of the server must show a key or a token."""
    workflow: str
    decisions: str
    run_folder: Path | None
    """The new folder that the run of its one cell is to have, in place of one below `artifacts`."""
    leased: Mapping[str, str] | None
    """As `LaunchSettings` has it."""
    other_server: tuple[str, ...]
    """Each reason why the server of this run is not the one that the spec describes."""
    narrowed_by: tuple[str, ...]
    """Each reason why this run asks for less than the spec demands."""
    settings: tuple[Setting, ...]

    @property
    def may_stop_early(self) -> bool:
        return not self.no_early_stop and self.limit is None

    def header(self) -> str:
        return "  ".join(f"{s.name}={s.value} ({s.origin})" for s in self.settings if s.value)


def read_options(config: pytest.Config, *, environ: Mapping[str, str], devices: frozenset[str]) -> Options:
    """Resolve every option; `devices` are the names that the catalogue knows."""
    settings = _settled(config, environ, devices=devices)
    value = {name: setting.value for name, setting in settings.items()}
    server = option_values.launcher(value["server"], server_url=value["server-url"])
    option_values.secrets(environ, server=server)
    variables = config.option.hallmark_server_env or ()
    server_env = option_values.variables(variables, option="--server-env", server=server)
    engine_args = option_values.engine_args(config.option.hallmark_engine_arg or (), option="--engine-arg")
    environment_args = option_values.engine_args(environ.get(ENGINE_ARG_VARIABLE, "").split(), option=ENGINE_ARG_VARIABLE)
    settings["server-env"] = replace(settings["server-env"], value=_in_words(server_env))
    if arguments := {**environment_args, **engine_args}:
        settings["engine-arg"] = replace(settings["engine-arg"], value=_in_words(arguments))
    return Options(
        selection=Selection(
            models=tuple(filter(None, value["model"].split(","))),
            device=value["device"],
            impl=value["impl"],
            configuration=value["runtime-config"],
        ),
        server=server,
        server_url=option_values.base_url(value["server-url"]),
        server_python=option_values.interpreter(value["server-python"]),
        image=option_values.image(value["image"], server=server),
        install_missing=bool(value["install-missing"]),
        strict_config=bool(value["strict-server-config"]),
        port=option_values.port(value["port"]),
        engine_args=engine_args,
        environment_args=environment_args,
        server_env=server_env,
        device_wait_s=option_values.seconds(value["device-wait"], option="--device-wait"),
        server_wait_s=option_values.seconds(value["server-wait"], option="--server-wait"),
        artifacts=config.invocation_params.dir / value["artifacts"],
        summary=config.invocation_params.dir / value["summary"] if value["summary"] else None,
        reference=config.invocation_params.dir / value["reference"] if value["reference"] else None,
        limit=option_values.whole_number(value["limit"], name="limit", least=1) or (SAMPLES if value["smoke"] else None),
        no_early_stop=bool(value["no-early-stop"]),
        smoke=bool(value["smoke"]),
        attached=not kind_named(server).starts_server,
        guarded=bool(environ.get(API_KEY_VARIABLE) or environ.get(JWT_VARIABLE)),
        workflow=config.option.hallmark_workflow or "pytest",
        decisions=config.option.hallmark_decisions or "",
        run_folder=Path(config.option.hallmark_run_folder) if config.option.hallmark_run_folder else None,
        leased=_leased(config.option.hallmark_leased),
        other_server=_other_server(settings["engine-arg"], server_env),
        narrowed_by=_narrowed_by(config, settings["limit"], settings["smoke"], devices=devices),
        settings=tuple(settings.values()),
    )


def _in_words(pairs: Mapping[str, str]) -> str:
    """As a shell takes them, so that they can be read back: their values may hold commas and blanks."""
    return shlex.join(f"{name}={value}" for name, value in pairs.items())


def _settled(config: pytest.Config, environ: Mapping[str, str], *, devices: frozenset[str]) -> dict[str, Setting]:
    """Every option's value by its name; the ini file's model and device hold only where nothing else says which cell."""
    attached = setting_of(config, by_name("server-url"), environ).value
    defaults = {"server": default_kind(server_url=attached).name, "artifacts": "artifacts"}
    settings = {o.name: setting_of(config, o, environ, default=defaults.get(o.name, "")) for o in OF_PYTEST}
    which = (settings["model"], settings["device"])
    if any(s.value and s.origin != "ini" for s in which) or names_in(config.option.markexpr) & devices:
        settings |= {s.name: Setting(s.name, "", "default") for s in which if s.origin == "ini"}
    return settings


def _leased(said: str | None) -> dict[str, str] | None:
    """Behind the unit a variable a word."""
    return dict(word.split("=", 1) for word in said.split()[1:]) if said else None


def _other_server(engine_args: Setting, server_env: Mapping[str, str]) -> tuple[str, ...]:
    said = {"--engine-arg": engine_args.value, "--server-env": ", ".join(server_env)}
    return tuple(f"{option} {what}: this is not the server that the spec describes" for option, what in said.items() if what)


def _narrowed_by(config: pytest.Config, limit: Setting, smoke: Setting, *, devices: frozenset[str]) -> tuple[str, ...]:
    reasons = [part_reason(workflow)] if (workflow := config.option.hallmark_workflow) in PARTS else []
    if smoke.value:
        reasons.append(SMOKE)
    if names_in(config.option.markexpr) - devices:
        reasons.append(f"-m '{config.option.markexpr}'")
    if config.option.keyword:
        reasons.append(f"-k '{config.option.keyword}'")
    if limit.value:
        reasons.append(f"--limit {limit.value}")
    if config.option.deselect:
        reasons.append("--deselect " + " ".join(config.option.deselect))
    for flag, name in (
        ("lf", "--last-failed"),
        ("stepwise", "--stepwise"),
        ("ignore", "--ignore"),
        ("ignore_glob", "--ignore-glob"),
    ):
        if getattr(config.option, flag, None):
            reasons.append(name)
    if config.args_source is pytest.Config.ArgsSource.ARGS:
        reasons.append("only " + " ".join(config.args))
    return tuple(reasons)
