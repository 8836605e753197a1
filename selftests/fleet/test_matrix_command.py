"""Whole matrices on this machine: each cell as a single run has it, and what is left where the driver is stopped or killed."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from hallmark.cli import main
from hallmark.fleet.journal import Ended as CellEnded
from hallmark.fleet.journal import Interrupted, Lost, Started, read_events
from hallmark.fleet.matrix_file import EVENTS_FILE, attempt_folder, read_plan
from hallmark.fleet.order import RUN_FOLDER
from hallmark.fleet.standing import Standing, standing_of
from selftests.fleet.stand_in_vendor import DEVICE, PAIR, boards_in
from selftests.plugin.commands import Command, Ended, wait_for
from selftests.plugin.conftest import SEVERAL, Place
from selftests.plugin.stand_in_spec import IMPL, eval_target, perf_point

LEASE_S = 5
_DRAFTS = 4
"""How cells without targets end: there is less to run of them."""


def words(place: Place, *more: str) -> list[str]:
    return [
        "hallmark",
        "matrix",
        f"--model={SEVERAL}",
        f"--spec-dir={place.specs}",
        f"--artifacts={place.artifacts}",
        f"--server-python={sys.executable}",
        f"--lease={LEASE_S}",
        *more,
    ]


def matrix(place: Place, *more: str, **environ: str) -> Command:
    return place.start(words(place, *more), **environ)


def folder_of(place: Place) -> Path:
    (found,) = place.artifacts.glob("*-matrix")
    return found


def standing(folder: Path) -> Standing:
    plan, _ = read_plan(folder)
    return standing_of((cell.cell for cell in plan.cells), read_events(folder / EVENTS_FILE))


def id_of(model: str) -> str:
    return f"id_{IMPL}_{model}_cpu"


def verdicts(folder: Path) -> dict[str, str]:
    rows = json.loads((folder / "report.json").read_text(encoding="utf-8"))["rows"]
    return {row["check"]: row["verdict"] for row in rows}


def begun(place: Place) -> Path:
    """The folder of a matrix, once a server of it was started."""
    wait_for(lambda: list(place.artifacts.glob("*-matrix/cells/*/*/run/server.log")), "server of a cell")
    return folder_of(place)


def resumed(place: Place, folder: Path) -> Ended:
    return place.start(["hallmark", "matrix", f"--resume={folder}"]).end()


@pytest.mark.e2e
@pytest.mark.long
def test_each_cell_is_judged_as_by_a_run_of_its_own(place: Place) -> None:
    models = place.specs_of(["", "no-stop"], evals=[eval_target()], perf=[perf_point()])
    ended = matrix(place).end()
    assert ended.code == 1, ended.said
    stands = standing(folder_of(place))
    for fault, model in models.items():
        single = place.release(model=model).end()
        counts = stands.cells[id_of(model)].counts
        assert counts is not None
        assert counts.outcome is not None
        assert (counts.number, counts.outcome.exit_code) == (1, single.code) == (1, 1 if fault else 0), single.said
        assert verdicts(attempt_folder(folder_of(place), id_of(model), 1) / RUN_FOLDER) == verdicts(single.folder)
    place.require_nobody_left()
    assert "verdict: REJECTED" in ended.out.splitlines()[-1]
    assert {"report.html", "report.json", "junit.xml", "certificate.json"} <= {path.name for path in folder_of(place).iterdir()}


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_it_is_told_how_to_go_on_and_nothing_is_left(place: Place, number: signal.Signals) -> None:
    models = place.specs_of(["", "slow-start=3"])
    command = matrix(place)
    folder = begun(place)
    command.process.send_signal(number)
    ended = command.end(deadline_s=30)
    assert ended.code == 130, ended.said
    assert f"hallmark matrix --resume {folder}" in ended.out
    place.require_nobody_left()
    events = read_events(folder / EVENTS_FILE)
    assert isinstance(events[-1], Interrupted)
    assert [one.blameless for one in events if isinstance(one, Lost)] == [True]
    must_go_on(place, folder, models)


def must_go_on(place: Place, folder: Path, models: dict[str, str]) -> None:
    """What was measured stays, what is missing is run, and two runs in a row are one matrix."""
    before = {cell: each.counts.number for cell, each in standing(folder).cells.items() if each.measured and each.counts}
    ended = resumed(place, folder)
    stands = standing(folder)
    assert all(stands.cells[id_of(model)].measured for model in models.values()), ended.said
    assert {cell: stands.cells[cell].counts.number for cell in before if stands.cells[cell].counts} == before  # type: ignore[union-attr]
    again = resumed(place, folder)
    assert (again.code, ended.code) == (_DRAFTS, _DRAFTS), f"{ended.said}{again.said}"
    assert sum(isinstance(one, Started) for one in read_events(folder / EVENTS_FILE)) == sum(
        len(each.attempts) for each in stands.cells.values()
    )
    place.require_nobody_left()


@pytest.mark.e2e
@pytest.mark.long
def test_a_driver_that_is_killed_leaves_nothing_and_is_gone_on_with(place: Place) -> None:
    models = place.specs_of(["", "slow-start=3"])
    command = matrix(place)
    folder = begun(place)
    os.kill(command.process.pid, signal.SIGKILL)
    command.end(deadline_s=30)
    place.require_nobody_left(within_s=10)
    assert not any(isinstance(one, Interrupted | CellEnded) for one in read_events(folder / EVENTS_FILE))
    must_go_on(place, folder, models)


@pytest.mark.e2e
@pytest.mark.long
def test_a_second_driver_is_refused(place: Place) -> None:
    place.specs_of([""])
    command = matrix(place)
    folder = begun(place)
    second = resumed(place, folder)
    assert (second.code, second.out) == (2, ""), second.said
    assert "another process writes there still" in second.err
    assert command.end().code == _DRAFTS


@pytest.mark.e2e
@pytest.mark.long
def test_cells_share_a_machine_by_its_boards(place: Place) -> None:
    """Those that need one board run side by side, each on its own; the one that needs both is alone."""
    boards = boards_in(place, count=2)
    for number, device in enumerate((DEVICE, DEVICE, PAIR), start=101):
        place.spec(models=(f"stand-in-{number}",), name=f"stand-in-{number}", device=device)
    ended = matrix(place, **boards.environ).end()
    assert ended.code == _DRAFTS, ended.said
    assert all(len(cell.attempts) == 1 and cell.measured for cell in standing(folder_of(place)).cells.values()), ended.said
    held: dict[str, set[int]] = {}
    most = 0
    for event in read_events(folder_of(place) / EVENTS_FILE):
        if isinstance(event, Started):
            assert all(not slots & set(event.slots) for slots in held.values())
            held[event.cell] = set(event.slots)
        elif isinstance(event, CellEnded):
            del held[event.cell]
        most = max(most, len(held))
    assert most == 2
    place.require_nobody_left()


@pytest.mark.e2e
@pytest.mark.long
def test_two_matrices_at_once_take_turns_on_a_device(place: Place) -> None:
    """Neither spoils a cell of the other, nor gives up waiting."""
    place.specs_of(["", "slow-start=3"])
    one, other = (matrix(place, f"--artifacts={place.folder}/{name}") for name in ("one", "other"))
    assert (one.end().code, other.end().code) == (_DRAFTS, _DRAFTS)
    for name in ("one", "other"):
        (folder,) = (place.folder / name).glob("*-matrix")
        assert [[each.measured for each in cell.attempts] for cell in standing(folder).cells.values()] == [[True], [True]]
    place.require_nobody_left()


@pytest.mark.e2e
def test_cells_are_selected_as_with_pytest_and_planned_and_nothing_is_done(place: Place) -> None:
    """Whole cells: `-k` and `-m` say which, and narrow none."""
    place.specs_of(["", "no-stop"])
    ended = matrix(place, "--print-plan", "--", "-m", "cpu", "-k", "stand-in-102").end()
    assert ended.code == 0, ended.said
    assert "1 cell on local" in ended.out
    assert id_of("stand-in-102") in ended.out
    assert "no order of them takes less than" in ended.out
    assert list(place.artifacts.iterdir()) == []


def here(place: Place, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    """The command in this process, with its cells named unless `more` names others."""
    named = [] if any(word.startswith("--model") for word in more) else [f"--model={SEVERAL}"]
    code = main(["matrix", *named, f"--spec-dir={place.specs}", f"--artifacts={place.artifacts}", *more])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_what_no_node_can_take_is_refused_with_the_reason(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Planted: cells of a device that is not here. Its clean twin, a cell of this machine's CPU, is planned beside it."""
    if Path("/dev/tenstorrent").exists():
        pytest.skip("not tested: /dev/tenstorrent is here")
    place.specs_of([""])
    foreign = ("--model=Llama-3.1-70B", "--impl=tt-transformers")
    code, out, _ = here(place, capsys, *foreign, "--device=t3k")
    assert (code, "cannot be placed: id_tt-transformers_Llama-3.1-70B_t3k" in out) == (2, True), out
    code, out, _ = here(
        place, capsys, "--model=Llama-3.1-70B", f"--model={SEVERAL}", "--device=t3k", "--device=cpu", "--print-plan"
    )
    assert (code, "cannot be placed" in out, id_of("stand-in-101") in out) == (0, True, True), out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--on=kubernetes"], "--on: cells cannot be run on 'kubernetes'"),
        (["--on=local://there"], "--on: this machine has no address"),
        (["--lease=1"], "--lease: 1 s is less than 3 s"),
        (["--wait=soon"], "--wait: 'soon' is no number of seconds"),
        (["--device=nowhere"], "--device: unknown device 'nowhere'"),
        (["--limit=x"], "--limit: 'x' is not a whole number"),
        (["--server=attach"], "--server attach is of one server"),
        (["--server-env=HF_TOKEN=abc"], "would put a secret on a command line"),
        (["--workflow=spec", "--smoke"], "--workflow spec does not use --smoke"),
        (["--resume=nowhere"], "--resume goes by what was planned, and does not use --model"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    place: Place, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    place.specs_of([""])
    code, out, err = here(place, capsys, *more)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert message in line


@pytest.mark.e2e
@pytest.mark.long
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["-m", "no_such_device"], "Unknown marker(s) in '-m' expression: no_such_device"),
        (["-k", "no-such-model"], "-k no-such-model: selects no cell"),
        (["--no-such-option"], "unrecognized arguments: --no-such-option"),
    ],
)
def test_a_selection_that_is_none_is_told_in_one_line(place: Place, more: list[str], message: str) -> None:
    place.specs_of([""])
    ended = matrix(place, "--", *more).end()
    assert ended.code == 2, ended.said
    (line,) = ended.err.splitlines()
    assert message in line


def test_where_nothing_says_which_cells_nothing_is_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["matrix", f"--artifacts={place.artifacts}"]) == 2
    assert "no cells are named" in capsys.readouterr().err
