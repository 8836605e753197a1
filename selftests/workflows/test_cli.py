"""run.py's command line: usage errors in one line, reports rendered again from records alone, arguments passed on whole."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark import cli
from hallmark.core.errors import InfrastructureError
from hallmark.core.files import write_json
from hallmark.core.records import Manifest, Record, RecordLog, to_plain
from hallmark.core.redact import Redactor
from hallmark.workflows import run_command
from hallmark.workflows.acceptance import Ended
from selftests.report.samples import accepted_run, rejected_run

# pydantic has doubts about a whole number in `float | str`; the files hold it well all the same.
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

ROOT = Path(__file__).resolve().parents[2]
REPORTS = ("report.html", "report.json", "report.md", "junit.xml", "badge.svg")


def write_run(folder: Path, run: tuple[Manifest, tuple[Record, ...]]) -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "manifest.json", to_plain(run[0]))
    log = RecordLog(folder / "records.jsonl", Redactor())
    for record in run[1]:
        log.append(record)
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["--model", "hallmark-tiny"], "nothing to do"),
        (["--workflow", "release", "--run", "x"], "--workflow release does not use --run"),
        (["--workflow", "spec", "--port", "8000"], "--workflow spec does not use --port"),
        (["--workflow", "spec", "--workflow-args", "max_num_seqs=8"], "--workflow spec does not use --workflow-args"),
        (["--workflow", "spec", "--print-plan"], "--workflow spec does not use --print-plan"),
        (["--workflow", "reports", "--model", "x"], "--workflow reports does not use --model"),
        (["--workflow", "server", "--limit", "3"], "--workflow server does not use --limit"),
        (["--workflow", "server", "--", "-x"], "--workflow server does not use the arguments after --"),
        (["--workflow", "release", "--docker", "--server", "local"], "exclude each other"),
        (["--workflow", "server"], "--model: say which model to serve"),
        (["--workflow", "server", "--host", "no.such.host.invalid"], "--host: no server can listen at 'no.such.host.invalid': "),
        (["--workflow", "server", "--host", "203.0.113.9", "--print-plan"], "Cannot assign requested address"),
        (["--workflow", "server", "--host", "ü..b"], "--host: no server can listen at 'ü..b': "),
        (["--workflow", "server", "--model", "hallmark-tiny", "--port", "x"], "--port: 'x' is not a whole number"),
        (
            ["--workflow", "server", "--model", "hallmark-tiny", "--workflow-args", "seed"],
            "--workflow-args: 'seed' is not NAME=VALUE",
        ),
        (["--workflow", "server", "--model", "hallmark-tiny", "--workflow-args", "port=80"], "use --port"),
        (["--workflow", "evals", "--workflow-args", "a=1 b 2"], "--workflow-args: 'b' is not NAME=VALUE"),
        (["--workflow", "evals", "--workflow-args", "a='x b=2"], "--workflow-args: a quote is not closed: 'x b=2"),
        (["--workflow", "evals", "--workflow-args", 'a={"b": [1, 2} c=3'], "--workflow-args: ] is missing"),
        (["--workflow", "server", "--server-env", "A"], "--server-env: 'A' is not NAME=VALUE"),
        (["--workflow", "server", "--server-env", "a b=c"], "--server-env: 'a b' is not NAME=VALUE"),
        (["--workflow", "server", "--server-env", "A=1", "--server-env", "A=2"], "'A' is there twice"),
        (["--workflow", "server", "--server-env", "HF_TOKEN=x"], "would put a secret on a command line"),
        (["--workflow", "reports", "--server-env", "A=1"], "--workflow reports does not use --server-env"),
        (["--workflow", "reports", "--run", "/no/such/run"], "holds no run"),
        (["--workflow", "reports", "--run", __file__], "holds no run"),
        (["--workflow", "reports", "--artifacts", "/no/such/folder"], "holds no run yet"),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert cli.checkout(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("run.py: ")
    assert message in err
    assert " - " in err, "no hint"


@pytest.mark.parametrize("arguments", [["--workflow", "relese"], ["--no-such-option"], ["--work", "spec"], ["--limit"]])
def test_a_wrong_option_names_the_right_ones_without_traceback(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.checkout(arguments)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("run.py: error: ")


def test_only_verbose_shows_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.checkout(["-v"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("run.py: nothing to do")


def test_an_error_of_the_machine_has_exit_code_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object, **__: object) -> Ended:
        raise InfrastructureError("no space left", where="/disk", hint="free some")

    monkeypatch.setattr(run_command, "run_acceptance", broken)
    assert cli.checkout(["--workflow", "release"]) == 3
    assert capsys.readouterr().err == "run.py: /disk: no space left - free some\n"


@pytest.mark.skipif(Path("/dev/tenstorrent").exists(), reason="this machine has a Tenstorrent device")
def test_a_server_for_a_device_that_is_not_here_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--workflow", "server", "--model", "Llama-3.3-70B", "--device", "T3K", "--artifacts", str(tmp_path)]
    assert cli.checkout(words) == 3
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("run.py: no t3k here (")


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> Ended:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_command, "run_acceptance", interrupted)
    assert cli.checkout(["--workflow", "release"]) == 130


def test_as_a_program_it_says_the_same() -> None:
    ended = subprocess.run([sys.executable, "-m", "hallmark.checkout"], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert len(ended.stderr.splitlines()) == 1


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command line hands to the workflow, which ends with 4 and two lines."""
    seen: dict[str, Any] = {}

    def note(workflow: str, arguments: list[str], *, root: Path) -> Ended:
        seen.update(workflow=workflow, arguments=arguments, root=root)
        return Ended(exit_code=4, lines=("report: x", "verdict: y"))

    monkeypatch.setattr(run_command, "run_acceptance", note)
    return seen


def test_options_are_passed_on_whole(passed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path was meant from where the command was typed, which need not be the checkout."""
    monkeypatch.chdir(tmp_path)
    words = (
        "--workflow evals --model a --model b* --device t3k --impl i --server attach --server-url http://h:1 --port 5 --limit 3"
    )
    places = "--spec-dir mine --spec-dir /abs --artifacts out --server-python venv/bin/python -v -- -x -k chat"
    assert cli.checkout([*words.split(), *places.split()]) == 4
    plain = ["model=a", "model=b*", "device=t3k", "impl=i", "server=attach", "server-url=http://h:1", "port=5", "limit=3"]
    paths = [
        f"spec-dir={tmp_path}/mine",
        "spec-dir=/abs",
        f"artifacts={tmp_path}/out",
        f"server-python={tmp_path}/venv/bin/python",
    ]
    options = [f"--hallmark-{option}" for option in [*plain, *paths]]
    assert sorted(passed["arguments"]) == sorted([*options, "-v", "-x", "-k", "chat"])
    assert passed["arguments"][-3:] == ["-x", "-k", "chat"]
    assert (passed["workflow"], passed["root"]) == ("evals", ROOT)


@pytest.mark.parametrize(
    ("words", "pairs"),
    [
        (["a=1", "b=2"], ["a=1", "b=2"]),
        (["a=1 b=2"], ["a=1", "b=2"]),
        (["  a=1   b=2 ", "--max-num-seqs=3 c=4"], ["a=1", "b=2", "--max-num-seqs=3", "c=4"]),
        (["a='x y' b=2"], ["a=x y", "b=2"]),
        (["""a={"b": "it's", "c": [1, 2]} d=3"""], ["""a={"b": "it's", "c": [1, 2]}""", "d=3"]),
        ([r'a={"b": "1 \" c=2"}'], [r'a={"b": "1 \" c=2"}']),
        (["a= b=2"], ["a=", "b=2"]),
        (["a=x=y b=2"], ["a=x=y", "b=2"]),
    ],
)
def test_engine_arguments_are_words_or_one_text(passed: dict[str, Any], words: list[str], pairs: list[str]) -> None:
    assert cli.checkout(["--workflow", "evals", "--workflow-args", *words]) == 4
    assert passed["arguments"] == [f"--hallmark-engine-arg={pair}" for pair in pairs]


def test_the_workflow_report_is_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(tmp_path / "run", accepted_run())
    assert cli.checkout(["--workflow", "report", "--run", str(folder)]) == 0
    assert "verdict: ACCEPTED" in capsys.readouterr().out


def test_its_last_lines_are_report_and_verdict(passed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.checkout(["--workflow", "release"]) == 4
    assert capsys.readouterr().out.splitlines()[-2:] == ["report: x", "verdict: y"]


@pytest.mark.parametrize(("run", "code"), [(accepted_run(), 0), (rejected_run(), 1)], ids=["accepted", "rejected"])
def test_a_run_is_rendered_again_with_its_own_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: tuple[Manifest, tuple[Record, ...]], code: int
) -> None:
    folder = write_run(tmp_path / "run", run)
    assert cli.checkout(["--workflow", "reports", "--run", str(folder)]) == code
    out = capsys.readouterr().out.splitlines()
    assert out[-2] == f"report: {folder}/report.html"
    assert out[-1].startswith("verdict: ")
    first = {name: (folder / name).read_bytes() for name in REPORTS}
    for name in REPORTS:
        (folder / name).unlink()
    assert cli.checkout(["--workflow", "reports", "--run", str(folder)]) == code
    assert {name: (folder / name).read_bytes() for name in REPORTS} == first


def test_an_old_report_that_says_accepted_counts_for_nothing(tmp_path: Path) -> None:
    """Only the records speak."""
    accepted = write_run(tmp_path / "a", accepted_run())
    assert cli.checkout(["--workflow", "reports", "--run", str(accepted)]) == 0
    rejected = write_run(tmp_path / "b", rejected_run())
    (rejected / "report.json").write_bytes((accepted / "report.json").read_bytes())
    assert cli.checkout(["--workflow", "reports", "--run", str(rejected)]) == 1
    assert json.loads((rejected / "report.json").read_text()) != json.loads((accepted / "report.json").read_text())


def test_without_a_run_the_newest_is_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "20260301T000000Z-x-release", accepted_run())
    newest = write_run(tmp_path / "20260302T000000Z-a-release", rejected_run())
    (tmp_path / "20260303T000000Z-no-manifest").mkdir()
    assert cli.checkout(["--workflow", "reports", "--artifacts", str(tmp_path)]) == 1
    assert str(newest) in capsys.readouterr().out


@pytest.mark.parametrize(("name", "content"), [("manifest.json", "{"), ("records.jsonl", "{}\n")])
def test_a_run_that_is_broken_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: str) -> None:
    folder = write_run(tmp_path / "run", accepted_run())
    (folder / name).write_text(content)
    assert cli.checkout(["--workflow", "reports", "--run", str(folder)]) == 3
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert name in err


@pytest.mark.parametrize("image_says", [{"PYTHONDONTWRITEBYTECODE": "1"}, {}], ids=["no bytecode", "nothing"])
def test_the_self_tests_need_by_default_and_keep_what_they_compile(
    monkeypatch: pytest.MonkeyPatch, image_says: dict[str, str]
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: object) -> subprocess.CompletedProcess[str]:
        started.append((command, env))
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr(subprocess, "run", run)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in image_says.items():
        monkeypatch.setenv(name, value)
    assert cli.checkout(["--self-test", "--", "-m", "docker"]) == 5
    ((command, env),) = started
    chosen = [word for flag, word in itertools.pairwise(command) if flag == "-m"]
    elsewhere = "long", "browser", "prometheus", "docker", "wheel", "catalogue", "ray", "slurm", "server"
    assert chosen == ["pytest", " and ".join(f"not {marker}" for marker in elsewhere), "docker"], "the last one wins"
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert ("PYTHONPYCACHEPREFIX" in env) == bool(image_says)
