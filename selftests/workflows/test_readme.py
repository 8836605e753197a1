"""Every command of the README is run, word for word: by .ci/run, by a self-test that holds it, or here."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from hallmark.fleet.order import OUTCOME_FILE, Outcome, Says, read
from hallmark.workflows import reports
from selftests.certificate.ended_runs import write_ended
from selftests.faulty import running
from selftests.fleet.cells import cell_in
from selftests.plugin.commands import Command
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import ROOT, WEIGHTS
from selftests.report.samples import accepted_run, rejected_run
from selftests.workflows.test_cli import write_run

README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
_COMMAND = re.compile(r"^    ((?:python3|pytest|hallmark|source|tox|pip)\b.*?)(?:  +#.*)?$", re.MULTILINE)

IN_CI = "a line of .ci/run"
INIT = "selftests/workflows/test_init.py"
REAL = "test_on_a_real_engine"
HERE = "test_it_does_what_the_readme_says"
OPEN = "test_the_newest_report_is_opened"
COMPARED = "test_two_runs_are_compared"
HISTORY = "test_all_runs_are_shown_on_one_page"
SIGNED = "test_a_run_is_signed_and_its_signature_is_verified"
VERIFIED = "test_the_newest_run_is_verified"
CARRIED_OUT = "test_an_order_is_carried_out"
ATTACHED = "test_a_server_that_runs_is_measured"


class Ending(NamedTuple):
    """How a command ends where it is run here."""

    code: int
    says: str


RUN_BY = {
    "python3 run.py --model hallmark-tiny --device cpu --workflow release": IN_CI,
    "python3 run.py --self-test": IN_CI,
    "source .venv/bin/activate": IN_CI,
    "pytest": REAL,
    "pytest -m t3k --model Llama-3.3-70B": HERE,
    "pytest -m t3k --model Llama-3.3-70B --collect-only": HERE,
    "pytest --server-url=http://127.0.0.1:8000": ATTACHED,
    "pytest --device-wait 60": REAL,
    "pytest --server-python=/opt/vendor/bin/python": HERE,
    "pytest --model hallmark-tiny --device cpu": REAL,
    "pytest --smoke": REAL,
    "pytest -m evals --limit 50": REAL,
    "pytest --server-env VLLM_LOGGING_LEVEL=DEBUG": REAL,
    "pytest --benchmark-autosave": REAL,
    "python3 run.py --workflow reports": IN_CI,
    "python3 run.py --workflow server --model hallmark-tiny": IN_CI,
    "python3 run.py --workflow release --model hallmark-tiny --docker": IN_CI,
    "python3 run.py --workflow server --model hallmark-tiny --print-plan": IN_CI,
    "hallmark matrix --model 'Llama-*' --device n300 --device t3k": HERE,
    "hallmark run-cell CELL.json --out artifacts/cell": CARRIED_OUT,
    "hallmark open": OPEN,
    "hallmark history artifacts": HISTORY,
    "hallmark compare artifacts/OLD artifacts/NEW": COMPARED,
    "hallmark verify": VERIFIED,
    "hallmark keygen keys/release.key": SIGNED,
    "hallmark certify artifacts/RUN --key keys/release.key": SIGNED,
    "hallmark verify artifacts/RUN --key keys/release.key.pub": SIGNED,
    "hallmark verify artifacts/RUN/certificate.json --key keys/release.key.pub": SIGNED,
    "hallmark completion bash": HERE,
    "hallmark specs list": HERE,
    "hallmark init --url http://127.0.0.1:8000": INIT,
}
"""Command -> what runs it."""
ENDINGS = {
    # Where the device or the interpreter is not, a command says so: that is all that it can do on this machine.
    "pytest -m t3k --model Llama-3.3-70B": Ending(1, "no t3k here"),
    "pytest -m t3k --model Llama-3.3-70B --collect-only": Ending(0, "test_health[id_tt-transformers_Llama-3.3-70B_t3k]"),
    "pytest --server-python=/opt/vendor/bin/python": Ending(4, "--server-python /opt/vendor/bin/python: no such interpreter"),
    "hallmark matrix --model 'Llama-*' --device n300 --device t3k": Ending(2, "cannot be placed"),
    "hallmark completion bash": Ending(0, "complete -o bashdefault"),
    "hallmark specs list": Ending(0, "hallmark-tiny"),
}
ABSENT = {
    "pytest -m t3k --model Llama-3.3-70B": Path("/dev/tenstorrent"),
    "pytest --server-python=/opt/vendor/bin/python": Path("/opt/vendor/bin/python"),
    "hallmark matrix --model 'Llama-*' --device n300 --device t3k": Path("/dev/tenstorrent"),
}
"""What has to be absent for the ending above."""
QUICKEST = "pytest --smoke"
"""The one of those on a real engine that is not long."""
PARTS = {
    "pytest --smoke": "SMOKE PASSED",
    "pytest -m evals --limit 50": "PARTIAL",
    "pytest --server-env VLLM_LOGGING_LEVEL=DEBUG": "PARTIAL",
}


def commands(text: str) -> list[str]:
    """The commands of its indented blocks, without what is said of them."""
    return list(dict.fromkeys(_COMMAND.findall(text)))


def is_line_of(command: str, script: str) -> bool:
    """Whether a line that is run holds the command, to its end or to where its output goes."""
    return re.search(rf"^[^#\n]*(?<!\S){re.escape(command)}(?=$| [|&>])", script, re.MULTILINE) is not None


def given_to(runner: str) -> list[str]:
    return [command for command, by in RUN_BY.items() if by == runner]


def start(command: str, place: Place, *, cwd: Path = ROOT, **environ: str) -> Command:
    """As a person types it, with this interpreter's commands on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**place.environ, "PATH": path, "HALLMARK_ARTIFACTS": str(place.artifacts), **environ}
    return Command(["bash", "-c", command], cwd=cwd, env=env, artifacts=place.artifacts)


def test_the_commands_of_a_page_are_found() -> None:
    page = "Text.\n\n    pytest -x                # fast\n    verdict: ACCEPTED\n    hallmark specs list\n\n    def f(): pass\n"
    assert commands(page) == ["pytest -x", "hallmark specs list"]
    assert is_line_of("pytest -x", "a\npytest -x\n")
    assert is_line_of("pytest -x", "timeout 3 pytest -x | tee b\n")
    assert not is_line_of("pytest", "pytest -x\n")
    assert not is_line_of("pytest -x", "# pytest -x\n")


def test_each_command_of_the_readme_has_who_runs_it() -> None:
    assert sorted(commands(README)) == sorted(RUN_BY)
    assert [command for command in given_to(IN_CI) if not is_line_of(command, CI)] == []
    held = (ROOT / INIT).read_text(encoding="utf-8")
    assert [command for command in given_to(INIT) if command not in held] == []
    assert sorted(given_to(HERE)) == sorted(ENDINGS)
    assert {by for by in RUN_BY.values() if by.startswith("test_")} <= set(globals())


@pytest.mark.parametrize("command", given_to(HERE))
def test_it_does_what_the_readme_says(command: str, place: Place) -> None:
    if (absent := ABSENT.get(command)) and absent.exists():
        pytest.skip(f"not tested: {absent} is here")
    ended = start(command, place).end()
    assert ended.code == ENDINGS[command].code, ended.said
    assert ENDINGS[command].says in ended.said


@pytest.mark.parametrize("command", given_to(OPEN))
def test_the_newest_report_is_opened(command: str, place: Place) -> None:
    folder = write_run(place.artifacts / "20260301T000000Z-x-release", accepted_run())
    reports.render_again(folder)
    opened = place.folder / "opened"
    browser = place.folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    ended = start(command, place, cwd=place.folder, BROWSER=f"{browser} %s").end()
    assert (ended.code, ended.out) == (0, "artifacts/20260301T000000Z-x-release/report.html\n")
    assert opened.read_text() == f"{(folder / 'report.html').as_uri()}\n"


@pytest.mark.e2e
@pytest.mark.parametrize("command", given_to(CARRIED_OUT))
def test_an_order_is_carried_out(command: str, place: Place) -> None:
    place.spec()
    cell_in(place, workflow="spec").order.rename(place.folder / "CELL.json")
    ended = start(command, place, cwd=place.folder).end()
    outcome = read(place.artifacts / "cell" / OUTCOME_FILE, Outcome)
    assert (ended.code, ended.out.splitlines()[-1]) == (
        outcome.exit_code,
        f"verdict: {outcome.title} - {outcome.headline} [{outcome.cell}]",
    )
    assert (outcome.says, outcome.title) == (Says.UNDECIDED, "PARTIAL")


@pytest.mark.parametrize("command", given_to(COMPARED))
def test_two_runs_are_compared(command: str, place: Place) -> None:
    write_run(place.artifacts / "OLD", rejected_run())
    write_run(place.artifacts / "NEW", accepted_run())
    ended = start(command, place, cwd=place.folder).end()
    assert ended.code == 0, ended.said
    assert ended.out.startswith("B is better than A: 1 outcome, ")


@pytest.mark.parametrize("command", given_to(VERIFIED))
def test_the_newest_run_is_verified(command: str, place: Place) -> None:
    """One of an older hallmark; what else may be found is for test_verify.py."""
    write_run(place.artifacts / "20260301T000000Z-x-release", accepted_run())
    ended = start(command, place, cwd=place.folder).end()
    said = "artifacts/20260301T000000Z-x-release: made before hallmark recorded chains: nothing can be verified\n"
    assert (ended.code, ended.out) == (6, said)


@pytest.mark.long
def test_a_run_is_signed_and_its_signature_is_verified(place: Place) -> None:
    """One after the other, as the README has them."""
    write_ended(place.artifacts / "RUN")
    ended = start(" && ".join(given_to(SIGNED)), place, cwd=place.folder).end()
    assert ended.code == 0, ended.said
    assert "VERIFIED: ACCEPTED at tier complete - artifacts/RUN" in ended.out
    assert "SIGNED: ACCEPTED at tier complete - artifacts/RUN/certificate.json" in ended.out


@pytest.mark.parametrize("command", given_to(HISTORY))
def test_all_runs_are_shown_on_one_page(command: str, place: Place) -> None:
    write_run(place.artifacts / "OLD", rejected_run())
    ended = start(command, place, cwd=place.folder).end()
    assert (ended.code, ended.out.splitlines()[-1]) == (0, "written: artifacts/history.html"), ended.said
    assert "REJECTED" in (place.artifacts / "history.html").read_text(encoding="utf-8")


@pytest.mark.e2e
@pytest.mark.parametrize("command", given_to(ATTACHED))
def test_a_server_that_runs_is_measured(command: str, place: Place) -> None:
    """One check of it: what whole runs find is for other tests. At another port where 8000 is in use."""
    with running(model=WEIGHTS, served_model_name="hallmark-tiny", preferred_port=8000, environ=place.environ) as server:
        addopts = f"{place.environ['PYTEST_ADDOPTS']} -k test_health"
        ended = start(command.replace("8000", str(server.port)), place, PYTEST_ADDOPTS=addopts).end()
    assert ended.rows["server.health"]["verdict"] == "PASS", ended.said


@pytest.mark.server
@pytest.mark.real_evals
@pytest.mark.parametrize(
    "command", [command if command == QUICKEST else pytest.param(command, marks=pytest.mark.long) for command in given_to(REAL)]
)
def test_on_a_real_engine(command: str, place: Place) -> None:
    storage = f"--benchmark-storage={place.folder}/benchmarks"
    addopts = f"{place.environ['PYTEST_ADDOPTS']} {storage}"
    python = os.environ["HALLMARK_SERVER_PYTHON"]
    ended = start(command, place, PYTEST_ADDOPTS=addopts, HALLMARK_SERVER_PYTHON=python).end(deadline_s=600)
    # What a speed is on a machine that others use is not the command's to answer for.
    assert ended.outcome in (PARTS.get(command, "ACCEPTED"), "VOID"), ended.said
    undecided = {"INCONCLUSIVE"} if command in PARTS else set()
    bad = {check: verdict for check, verdict in ended.bad.items() if verdict not in undecided}
    assert all(verdict == "VOID" and check.startswith("perf.") for check, verdict in bad.items()), bad
    assert list((place.folder / "benchmarks").rglob("*.json")) or "autosave" not in command
