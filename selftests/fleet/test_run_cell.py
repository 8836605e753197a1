"""`hallmark run-cell`: one cell, one process, one folder, the outcome last; whatever ends it leaves nothing behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from hallmark.core.chain import last_mark
from hallmark.fleet.beats import CELL_BEAT
from hallmark.fleet.order import OUTCOME_FILE, Says
from hallmark.serving.lease import VARIABLE, hold
from selftests.faulty import running
from selftests.fleet.cells import Cell, beaten, cell_in, own_children
from selftests.plugin.commands import Ended, wait_for
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL, WEIGHTS

pytestmark = pytest.mark.e2e

SLOW = {"ttft_ms": 250}
"""Slow enough to be met in the middle."""
GONE_WITHIN_S = 10.0
CLEAN = 4
"""How a cell of the place's short spec ends, which lacks targets."""
TAKES_WHERE_IT_DECIDES = """
import pathlib, shutil
def pytest_configure(config):
    shutil.rmtree(pathlib.Path(config.option.hallmark_decisions).parent)
"""


def test_a_cell_ends_with_its_outcome_and_is_not_run_again(place: Place) -> None:
    place.spec()
    cell = cell_in(place)
    ended = cell.start().end()
    outcome = cell.outcome
    assert (ended.code, outcome.says, outcome.exit_code) == (CLEAN, Says.UNDECIDED, CLEAN), f"{ended.said}\n{cell.log}"
    assert (outcome.title, outcome.node_fault, outcome.leftovers) == (cell.report["decision"]["outcome"], "", ())
    assert outcome.run_digest == last_mark(cell.run / "records.jsonl", "ends")[0] != ""
    assert f"verdict: {outcome.title} - {outcome.headline} [{outcome.cell}]" in ended.out
    assert cell.canary["before"]["fault"] == cell.canary["after"]["fault"] == ""
    written = (cell.folder / OUTCOME_FILE).stat()

    again = cell.start().end()
    assert (again.code, again.out) == (CLEAN, ended.out)
    assert f"not run again: {cell.folder} holds its outcome already" in again.err
    assert (cell.folder / OUTCOME_FILE).stat().st_mtime_ns == written.st_mtime_ns

    other = cell.place.start([*cell_in(place, "second", attempt=2).words[:-1], str(cell.folder)]).end()
    assert other.code == 2
    assert f"{cell.folder}: holds the outcome of attempt 1" in other.err
    place.require_nobody_left()


def without_a_decision(place: Place, **fields: str) -> tuple[Cell, Ended]:
    """Of all that a run writes this alone lies on the node's own disk, which is full here as it were."""
    place.spec(**fields)
    place.plugin("takes_where_it_decides", TAKES_WHERE_IT_DECIDES)
    cell = cell_in(place)
    return cell, cell.start(PYTEST_ADDOPTS=f"{place.environ['PYTEST_ADDOPTS']} -p takes_where_it_decides").end()


def test_a_run_that_cannot_say_what_it_decided_was_spoilt_by_its_node(place: Place) -> None:
    cell, ended = without_a_decision(place)
    assert (ended.code, cell.outcome.says, cell.outcome.exit_code) == (3, Says.VOID, 3), f"{ended.said}\n{cell.log}"
    assert "The run came to its end and could not say what it decided: " in cell.outcome.headline
    assert "decisions.json: cannot write: No such file or directory" in cell.outcome.headline
    place.require_nobody_left()


@pytest.mark.long
def test_what_failed_before_is_not_tried_again(place: Place) -> None:
    """It would be where that is VOID."""
    cell, ended = without_a_decision(place, faults="wrong-model-name")
    assert cell.outcome.says is Says.UNDECIDED, f"{ended.said}\n{cell.log}"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"hallmark": "0.0.1"}, "the driver is hallmark 0.0.1, this is "),
        ({"code": "0" * 64}, "the driver's code is 000000000000, this machine's "),
        ({"spec": "0" * 64}, "the driver's spec of id_stand-in-server_stand-in_cpu is 000000000000, here "),
        ({"workflow": "relaese"}, "unknown workflow 'relaese' - did you mean release"),
        ({"model": "stand-in-2"}, "unknown model 'stand-in-2' - did you mean stand-in?"),
        ({"cell": "id_another"}, "0 cells are id_another"),
    ],
    ids=["version", "code", "spec", "workflow", "model", "cell"],
)
def test_an_order_that_this_node_cannot_carry_out_is_refused(place: Place, changes: dict[str, str], why: str) -> None:
    place.spec()
    cell = cell_in(place, **changes)
    ended = cell.start().end()
    assert (ended.code, cell.outcome.says, cell.outcome.exit_code) == (2, Says.REFUSED, 2), ended.said
    assert why in cell.outcome.headline
    assert why in ended.out
    assert not cell.run.exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"limt": "3"}, "no option 'limt' of release - did you mean limit?"),
        ({"smoke": "yes"}, "the value of 'smoke' is 'yes' - it is true or false"),
        ({"resume": "somewhere"}, "no option 'resume' of release"),
    ],
    ids=["misspelt", "no flag", "another folder"],
)
def test_an_option_that_would_be_passed_over_is_refused(place: Place, options: dict[str, str], why: str) -> None:
    place.spec()
    cell = cell_in(place, options=options)
    assert cell.start().end().code == 2
    assert why in cell.outcome.headline


def test_no_order_is_one_line_and_no_outcome(place: Place) -> None:
    cell = cell_in(place)
    cell.order.write_text('{"cell": "x", "cell": "y"}', encoding="utf-8")
    ended = cell.start().end()
    assert ended.code == 2
    assert f"{cell.order}: no JSON: cell" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not cell.ended


# -- how it ends --------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_cell_is_accepted_as_it_is_by_a_plain_run(place: Place) -> None:
    place.whole_spec()
    cell, plain = cell_in(place), place.release().end().must_end(0, "ACCEPTED")
    assert cell.start().end().code == 0, cell.log
    assert (cell.outcome.says, cell.outcome.title) == (Says.ACCEPTED, plain.report["decision"]["outcome"] + " at tier complete")
    assert {row["check"]: row["verdict"] for row in cell.report["rows"]} == {
        name: row["verdict"] for name, row in plain.rows.items()
    }


@pytest.mark.long
def test_a_server_at_fault_is_rejected(place: Place) -> None:
    place.spec(faults="wrong-model-name")
    cell = cell_in(place)
    assert cell.start().end().code == 1, cell.log
    assert (cell.outcome.says, cell.outcome.exit_code) == (Says.REJECTED, 1)
    assert cell.report["decision"]["outcome"] == "REJECTED"


def in_the_middle(place: Place, **changes: object) -> Cell:
    place.spec(engine_args=SLOW)
    return cell_in(place, **changes)


def must_be_stopped(cell: Cell, why: str) -> None:
    """It says why, its run was closed in good order, and nobody is left."""
    cell.place.require_nobody_left(within_s=GONE_WITHIN_S)
    assert (cell.outcome.says, cell.outcome.exit_code) == (Says.STOPPED, 130)
    assert why in cell.outcome.headline
    assert cell.report["decision"]["outcome"] == "INTERRUPTED"
    assert cell.outcome.run_digest


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(place: Place, number: signal.Signals) -> None:
    cell = in_the_middle(place)
    command = cell.start()
    cell.reach_its_server()
    os.kill(command.process.pid, number)
    assert command.end().code == 130
    must_be_stopped(cell, f"(stopped by {number.name})")


@pytest.mark.long
def test_the_drivers_pipe_ends_it(place: Place) -> None:
    cell = in_the_middle(place)
    process = cell.start_leashed()
    cell.reach_its_server()
    assert process.stdin
    process.stdin.close()
    assert process.wait(GONE_WITHIN_S) == 130
    must_be_stopped(cell, "(the driver's pipe closed)")


@pytest.mark.long
def test_a_driver_that_is_not_heard_of_ends_it_and_one_that_beats_does_not(place: Place) -> None:
    cell = in_the_middle(place, lease_s=3)
    command = cell.start()
    assert command.end().code == 130
    assert cell.outcome.says is Says.STOPPED
    assert "(nothing was heard of the driver for 3 s)" in cell.outcome.headline
    place.require_nobody_left(within_s=GONE_WITHIN_S)

    twin = cell_in(place, "twin", lease_s=3)
    with beaten(twin):
        assert twin.start().end().code == CLEAN, twin.log
    assert twin.outcome.says is Says.UNDECIDED
    assert twin.outcome.seconds > 3


@pytest.mark.long
def test_a_folder_that_hangs_does_not_keep_it_beyond_its_lease(place: Place) -> None:
    """As a network file system does that is cut off: the cell's own sign of life goes into a pipe that nobody reads."""
    place.spec(engine_args={"ttft_ms": 1000})
    cell = cell_in(place, lease_s=3)
    with beaten(cell):
        command = cell.start()
        cell.reach_its_server()
        os.mkfifo(cell.folder / "hangs")
        (cell.folder / "hangs").rename(cell.folder / CELL_BEAT)
    assert command.end(deadline_s=3 + GONE_WITHIN_S).code == 130
    must_be_stopped(cell, "(nothing was heard of the driver for 3 s)")


@pytest.mark.long
def test_a_kill_leaves_no_process_and_no_outcome_and_the_folder_is_not_used_again(place: Place) -> None:
    cell = in_the_middle(place)
    command = cell.start()
    cell.reach_its_server()
    os.kill(command.process.pid, signal.SIGKILL)
    place.require_nobody_left(within_s=GONE_WITHIN_S)
    assert not cell.ended
    again = cell.start().end()
    assert again.code == 2
    assert f"{cell.folder}: an attempt began here and left no outcome" in again.err


@pytest.mark.long
def test_a_run_that_is_killed_is_void(place: Place) -> None:
    """As the kernel does where memory ends."""
    cell = in_the_middle(place)
    command = cell.start()
    cell.reach_its_server()
    (keeper,) = own_children(command.process.pid)
    (run,) = own_children(keeper)
    os.kill(run, signal.SIGKILL)
    assert command.end().code == 3
    assert (cell.outcome.says, cell.outcome.headline) == (Says.VOID, "The run was killed by signal 9 before its report.")
    place.require_nobody_left()


@pytest.mark.long
def test_a_folder_has_one_attempt_at_a_time(place: Place) -> None:
    cell = in_the_middle(place)
    command = cell.start()
    wait_for(cell.run.exists, "folder of the run")
    other = cell.start().end()
    assert other.code == 2
    assert f"{cell.folder}: another process writes there still" in other.err
    assert command.end().code == CLEAN
    assert cell.outcome.says is Says.UNDECIDED


FULL = """
import errno, os
from pathlib import Path
import hallmark.core.files as files

real = Path.write_text

def write_text(self, *arguments, **more):
    if self.name.startswith("outcome.json"):
        real(self, "half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return real(self, *arguments, **more)

Path.write_text = write_text
"""


@pytest.mark.long
@pytest.mark.fresh_interpreter
def test_a_full_disk_takes_no_half_outcome(place: Place) -> None:
    place.spec()
    (place.plugins / "usercustomize.py").write_text(FULL, encoding="utf-8")
    (place.plugins / "sitecustomize.py").write_text("import usercustomize\n", encoding="utf-8")
    cell = cell_in(place)
    ended = cell.start().end()
    assert ended.code == 3
    (line,) = [line for line in ended.err.splitlines() if OUTCOME_FILE in line]
    assert "cannot write: No space left on device" in line
    assert not list(cell.folder.glob(f"{OUTCOME_FILE}*"))
    place.require_nobody_left()


def test_a_folder_that_cannot_be_made_is_one_line(place: Place, tmp_path: Path) -> None:
    place.spec()
    cell = cell_in(place)
    (tmp_path / "file").write_text("in the way")
    ended = place.start([*cell.words[:-1], str(tmp_path / "file" / "cell")]).end()
    assert ended.code == 3
    assert "cannot make the folder: Not a directory" in ended.err


@pytest.mark.long
def test_a_server_that_runs_already_takes_no_board_of_the_node(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.spec()
    monkeypatch.setenv(VARIABLE, place.environ[VARIABLE])
    lease = hold("cpu", holder="somebody else", progress=pytest.fail, wait_s=0)
    with running(model=WEIGHTS, served_model_name=MODEL, ttft_ms=2, max_model_len=512, environ=place.environ) as server:
        options = {"server-url": server.base_url, "device-wait": "0", "server-python": ""}
        cell = cell_in(place, unit="cpu", slots=(0,), options=options)
        assert cell.start().end().code == CLEAN, cell.log
    assert cell.outcome.says is Says.UNDECIDED
    own = cell_in(place, "own", options={"device-wait": "0"})
    assert own.start().end().code == 3
    assert own.outcome.headline.startswith("cpu: not free after 0 s, held by somebody else since 20")
    lease.release()
