"""What the options come to: command line > environment (HALLMARK_...) > ini > default, each with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from hallmark.configure import given
from hallmark.core.records import PARTS, part_reason
from hallmark.core.settings import Setting, resolve
from hallmark.plugin.marks import names_in
from hallmark.specs.catalogue import Selection

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
    artifacts: Path
    limit: int | None
    guarded: bool
    """Whether clients of the server must show a key or a token."""
    workflow: str
    decisions: str
    other_server: tuple[str, ...]
    """Each reason why the server of this run is not the one that the spec describes."""
    narrowed_by: tuple[str, ...]
    """Each reason why this run asks for less than the spec demands."""
    settings: tuple[Setting, ...]

    def header(self) -> str:
        return "  ".join(f"{s.name}={s.value} ({s.origin})" for s in self.settings if s.value)


def read_options(config: pytest.Config, *, environ: Mapping[str, str], devices: frozenset[str]) -> Options:
    """Resolve every option; `devices` are the names that the catalogue knows."""
    option = config.option

    def setting(name: str, *, ini: str = "", default: str = "") -> Setting:
        said = getattr(option, name.replace("-", "_"))
        said = ",".join(said) if isinstance(said, list) else said
        return resolve(name, command_line=said, environ=environ, ini=ini, default=default)

    model, device = setting("model"), setting("device")
    if not (model.value or device.value or names_in(option.markexpr) & devices):
        model, device = (
            setting("model", ini=config.getini("hallmark_model")),
            setting("device", ini=config.getini("hallmark_device")),
        )
    url = setting("server-url")
    server = setting("server", default="attach" if url.value else "local")
    given.secrets(environ, server=server.value)
    limit, port, engine_args = setting("limit"), setting("port"), setting("engine-arg")
    server_env = given.variables(option.server_env, option="--server-env", server=server.value)
    others = [setting("impl"), setting("server-python"), setting("image"), setting("artifacts", default="artifacts")]
    impl, python, image, artifacts = others
    return Options(
        selection=Selection(models=tuple(filter(None, model.value.split(","))), device=device.value, impl=impl.value),
        server=given.launcher(server.value, server_url=url.value),
        server_url=given.base_url(url.value),
        server_python=given.interpreter(python.value),
        image=given.image(image.value, server=server.value),
        install_missing=option.install_missing,
        strict_config=option.strict_server_config,
        port=given.port(port.value),
        engine_args=given.engine_args(option.engine_arg, option="--engine-arg"),
        environment_args=given.engine_args(environ.get(ENGINE_ARG_VARIABLE, "").split(), option=ENGINE_ARG_VARIABLE),
        server_env=server_env,
        artifacts=config.invocation_params.dir / artifacts.value,
        limit=given.whole_number(limit.value, name="limit", least=1),
        guarded=bool(environ.get(API_KEY_VARIABLE) or environ.get(JWT_VARIABLE)),
        workflow=option.workflow or "pytest",
        decisions=option.decisions or "",
        other_server=_other_server(engine_args, server_env),
        narrowed_by=_narrowed_by(config, limit, devices=devices),
        settings=(model, device, server, url, limit, port, engine_args, *others, _said(server_env)),
    )


def _said(server_env: Mapping[str, str]) -> Setting:
    return Setting("server-env", " ".join(f"{name}={value}" for name, value in server_env.items()), "command line")


def _other_server(engine_args: Setting, server_env: Mapping[str, str]) -> tuple[str, ...]:
    said = {"--engine-arg": engine_args.value, "--server-env": ", ".join(server_env)}
    return tuple(f"{option} {what}: this is not the server that the spec describes" for option, what in said.items() if what)


def _narrowed_by(config: pytest.Config, limit: Setting, *, devices: frozenset[str]) -> tuple[str, ...]:
    reasons = [part_reason(workflow)] if (workflow := config.option.workflow) in PARTS else []
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
