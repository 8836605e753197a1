"""Engines of a matrix that plugins add: one of a few lines is at work, and each bad answer is one line that says what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hallmark import built_in
from hallmark.core import extensions
from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.extensions import BUILT_IN, Extensions
from hallmark.fleet.backends import Node
from hallmark.fleet.engines import EngineKind, Site, engine_kinds, opened
from selftests.fleet.test_matrix_command import folder_of, here, id_of, matrix, standing
from selftests.plugin.conftest import Place

RACKS = """
from dataclasses import replace

from hallmark import EngineKind
from hallmark.fleet.backends import Node
from hallmark.fleet.local import LocalBackend


class Racks(LocalBackend):
    name = "racks"

    def offer(self):
        return [Node(name=self.rack, units=node.units, refused=node.refused) for node in super().offer()]


def opened(site):
    racks = Racks.of(replace(site, address=""))
    racks.rack = f"rack-{site.address}"
    return racks


def pytest_hallmark_engines():
    return [EngineKind(name="racks", opened="racks_plugin:opened")]
"""
OWN = ["local", "ray", "slurm"]


@pytest.mark.e2e
def test_an_engine_of_a_plugin_is_planned_for(place: Place) -> None:
    place.distribution("racks_plugin", RACKS)
    place.specs_of([""])
    ended = matrix(place, "--on=racks://7", "--print-plan").end()
    assert (ended.code, "1 cell on racks://7:" in ended.out, "rack-7: 1 cpu" in ended.out) == (0, True, True), ended.said


@pytest.mark.e2e
@pytest.mark.long
def test_an_engine_of_a_plugin_runs_cells_and_is_gone_on_with(place: Place) -> None:
    place.distribution("racks_plugin", RACKS)
    place.specs_of([""])
    ended = matrix(place, "--on=racks://7", "--workflow=spec").end()
    assert ended.code == 4, ended.said  # a part of a release
    (attempt,) = standing(folder_of(place)).cells[id_of("stand-in-101")].attempts
    assert attempt.node == "rack-7"
    resumed = place.start(["hallmark", "matrix", f"--resume={folder_of(place)}"]).end()
    assert resumed.code == 4, resumed.said


class Nothing:
    """No Backend: it offers, and that is all."""

    name = "racks"
    elastic = False

    def offer(self) -> list[Node]:
        return []


def opens_nothing(site: Site) -> Nothing:
    return Nothing()


def fails(site: Site) -> Nothing:
    raise ValueError(f"no key for {site.address}")


def unreached(site: Site) -> Nothing:
    raise InfrastructureError("no answer", where=site.address)


def racks(function: str) -> list[EngineKind]:
    return [EngineKind(name="racks", opened=f"{__name__}:{function}")]


Answer = Callable[[], Any]


def add(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> None:
    """Have a plugin answer so, besides hallmark itself."""

    def pytest_hallmark_engines() -> Any:
        return answer()

    def asked(name: str) -> list[tuple[str, Answer]]:
        own = [(BUILT_IN, getattr(built_in, name))]
        return [*own, ("acme", pytest_hallmark_engines)] if name == "pytest_hallmark_engines" else own

    monkeypatch.setattr(extensions, "_in_pytest", [Extensions(asked)])


def test_those_of_hallmark_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(engine_kinds()) == OWN
    add(monkeypatch, lambda: racks("opens_nothing"))
    assert list(engine_kinds()) == [*OWN, "racks"]


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (lambda: "racks", 2, "plugin acme: pytest_hallmark_engines answers str, not a list"),
        (lambda: ["racks:opened"], 2, "pytest_hallmark_engines: 'racks:opened' is no EngineKind"),
        (lambda: [EngineKind(name="local", opened="x:y")], 2, "pytest_hallmark_engines: two engines are called 'local'"),
        (lambda: racks("no_such_function"), 2, f"{__name__}:no_such_function: cannot be imported: "),
        (lambda: racks("opens_nothing"), 2, "the engine 'racks' opens a Nothing without start, poll, cancel, close"),
        (lambda: racks("fails"), 3, "the engine 'racks' cannot be opened: ValueError: no key for there"),
        (lambda: racks("unreached"), 3, "there: no answer"),
    ],
    ids=["no-list", "no-kind", "taken", "absent", "no-backend", "fails", "unreached"],
)
def test_a_bad_answer_is_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: Answer, code: int, message: str
) -> None:
    place.specs_of([""])
    add(monkeypatch, answer)
    ended, out, err = here(place, capsys, "--on=racks://there")
    assert (ended, out) == (code, "")
    (line,) = err.splitlines()
    assert message in line


def test_a_name_that_is_nearly_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, lambda: racks("opens_nothing"))
    with pytest.raises(UsageError, match="cells cannot be run on 'rack' - did you mean racks"):
        opened("rack", folder=tmp_path, spec_dirs=(), units={})
