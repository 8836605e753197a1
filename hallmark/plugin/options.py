"""What the options come to: command line > environment (HALLMARK_...) > ini > default, each with its origin."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.core.settings import Setting, resolve
from hallmark.plugin.marks import names_in
from hallmark.serving.launchers import LAUNCHERS
from hallmark.specs.catalogue import Selection

API_KEY_VARIABLE = "HALLMARK_API_KEY"
"""Secrets come by environment only: a command line is there for everybody to read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is to be done, decided."""

    selection: Selection
    server: str
    server_url: str
    server_python: str
    port: int
    artifacts: Path
    limit: int | None
    workflow: str
    decisions: str
    narrowed_by: tuple[str, ...]
    """Each reason why this run is less than the spec demands."""
    settings: tuple[Setting, ...]

    def header(self) -> str:
        return "  ".join(f"{s.name}={s.value} ({s.origin})" for s in self.settings if s.value)


def read_options(config: pytest.Config, *, environ: Mapping[str, str], devices: frozenset[str]) -> Options:
    """Resolve every option; `devices` are the names that the catalogue knows."""
    option = config.option

    def setting(name: str, *, ini: str = "", default: str = "") -> Setting:
        given = getattr(option, name.replace("-", "_"))
        given = ",".join(given) if isinstance(given, list) else given
        return resolve(name, command_line=given, environ=environ, ini=ini, default=default)

    model, device = setting("model"), setting("device")
    if not (model.value or device.value or names_in(option.markexpr) & devices):
        model, device = (
            setting("model", ini=config.getini("hallmark_model")),
            setting("device", ini=config.getini("hallmark_device")),
        )
    url = setting("server-url")
    server = setting("server", default="attach" if url.value else "local")
    limit, port = setting("limit"), setting("port")
    others = [setting("impl"), setting("server-python"), setting("artifacts", default="artifacts")]
    impl, python, artifacts = others
    _check_server(server, url)
    _check_interpreter(python)
    return Options(
        selection=Selection(models=tuple(filter(None, model.value.split(","))), device=device.value, impl=impl.value),
        server=server.value,
        server_url=url.value,
        server_python=python.value,
        port=_whole_number(port, least=1, most=65535) or 0,
        artifacts=config.invocation_params.dir / artifacts.value,
        limit=_whole_number(limit, least=1),
        workflow=option.workflow or "pytest",
        decisions=option.decisions or "",
        narrowed_by=_narrowed_by(config, limit, devices),
        settings=(model, device, server, url, limit, port, *others),
    )


def _check_server(server: Setting, url: Setting) -> None:
    if server.value not in LAUNCHERS:
        raise UsageError(f"unknown launcher '{server.value}'", where="--server", hint="known: " + ", ".join(sorted(LAUNCHERS)))
    if server.value == "attach" and not url.value:
        raise UsageError("--server attach needs --server-url", hint="say where the server answers, e.g. http://127.0.0.1:8000")
    if server.value != "attach" and url.value:
        raise UsageError(f"--server-url does not go with --server {server.value}", hint="drop one of the two")
    if url.value and not re.match(r"https?://[^/\s]+$", url.value.rstrip("/")):
        raise UsageError(f"'{url.value}' is not a server's base URL", where="--server-url", hint="e.g. http://127.0.0.1:8000")


def _check_interpreter(python: Setting) -> None:
    if python.value and not Path(python.value).is_file():
        raise UsageError(
            "no such interpreter", where=f"--server-python {python.value}", hint="name the python that has the engine"
        )


def _whole_number(setting: Setting, *, least: int, most: int | None = None) -> int | None:
    if not setting.value:
        return None
    span = f"from {least} to {most}" if most else f"from {least} up"
    number = int(setting.value) if setting.value.isdecimal() else -1
    if number < least or (most and number > most):
        raise UsageError(f"'{setting.value}' is not a whole number {span}", where=f"--{setting.name}", hint="correct it")
    return number


def _narrowed_by(config: pytest.Config, limit: Setting, devices: frozenset[str]) -> tuple[str, ...]:
    reasons = []
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
