"""`hallmark ab`: what it refuses, and whole comparisons of paced stand-ins, from the command line to the files it leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark import cli
from hallmark.perf import interleaved
from hallmark.workflows.ab.choosing import CANDIDATE_KEY, sides_of
from hallmark.workflows.ab_command import make_parser, margin_of
from hallmark.workflows.sides import Attached
from selftests.faulty import Faulty, running
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import MODEL, perf_point
from selftests.plugin.test_busy_machine import burners, on_one_core

NOWHERE = "http://127.0.0.1:9"
POINT = ["--isl=16", "--osl=8", "--concurrency=4", "--requests=8", "--pairs-max=6"]
PACE = {"ttft_ms": 100, "itl_ms": 40}
"""Slow enough that what a busy machine adds is a small part of it."""
SLOWER = {"ttft_ms": 110, "itl_ms": 44}


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--baseline=hallmark-tiny"], 2, "there is no candidate - name --candidate"),
        (["--baseline=hallmark-tiny", "--aa", "--candidate=x"], 2, "--aa compares the baseline with itself"),
        (["--baseline=hallmark-tiny", "--aa", "--candidate-engine-arg=a=1"], 2, "--aa compares the baseline with itself"),
        (["--baseline=hallmark-tiny", "--candidate-engine-arg=a"], 2, "--candidate-engine-arg: 'a' is not NAME=VALUE"),
        (["--baseline=hallmark-tini", "--aa"], 2, "--baseline: unknown model 'hallmark-tini' - did you mean hallmark-tiny"),
        (["--baseline=127.0.0.1:8000", "--aa"], 2, "a URL begins with http://"),
        (["--baseline=http://127.0.0.1:9/v1", "--aa"], 2, "'http://127.0.0.1:9/v1' is not a server's base URL"),
        ([f"--baseline={NOWHERE}", "--candidate-engine-arg=a=1"], 2, "--candidate-engine-arg does not go with a URL"),
        (["--baseline=no/such.yaml", "--aa"], 2, "--baseline no/such.yaml: no such spec file"),
        (["--baseline=hallmark-tiny", "--aa", "--device=h100"], 2, "no spec of hallmark-tiny for h100"),
        (["--baseline=hallmark-tiny", "--aa", "--point=isl1"], 2, "has no perf point 'isl1' - known: isl64-osl32-c1"),
        (["--baseline=hallmark-tiny", "--aa", "--isl=x"], 2, "--isl: 'x' is not a whole number"),
        (["--baseline=hallmark-tiny", "--aa", "--concurrency=8", "--requests=4"], 2, "4 requests are fewer than 8 users"),
        (["--baseline=hallmark-tiny", "--aa", "--pairs-max=1"], 2, "--pairs-max: '1' is not a whole number from 2 up"),
        (["--baseline=hallmark-tiny", "--aa", "--minutes=soon"], 2, "--minutes: 'soon' is no number"),
        (["--baseline=hallmark-tiny", "--aa", "--server-python=/no/python"], 2, "no such interpreter"),
        ([f"--baseline={NOWHERE}", "--aa"], 3, f"{NOWHERE}: GET /v1/models: connection lost"),
    ],
)
def test_what_it_refuses_is_one_line(
    words: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ab", *words, f"--artifacts={tmp_path / 'artifacts'}"]) == code
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("hallmark ab: ")
    assert message in err
    assert " - " in err, "no hint"
    assert not (tmp_path / "artifacts").exists()


@pytest.mark.parametrize(("text", "share"), [("3%", 0.03), ("3 %", 0.03), ("0.03", 0.03), ("0.5%", 0.005), (".1", 0.1)])
def test_a_margin_is_a_share(text: str, share: float) -> None:
    assert margin_of(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["3", "0", "0%", "60%", "nan", "", "three", "3%%", "1e-2"])
def test_a_bad_margin_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ab", "--baseline=hallmark-tiny", "--aa", f"--margin={text}"]) == 2
    err = capsys.readouterr().err
    assert err == f"hallmark ab: --margin: '{text}' is no share above 0 and up to 50% - write 3% or 0.03\n"


def test_a_file_of_several_models_asks_for_one(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    path = place.spec(models=("one", "two"))
    assert cli.main(["ab", f"--baseline={path}", "--aa"]) == 2
    assert "describes 2 models: one, two - --baseline MODEL --spec-dir" in capsys.readouterr().err


def test_each_side_is_shown_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key serves both where the candidate has none of its own."""
    options = make_parser("hallmark ab").parse_args([f"--baseline={NOWHERE}", f"--candidate={NOWHERE}0"])
    monkeypatch.setenv("HALLMARK_API_KEY", "of-the-baseline")
    for own, shown in (("", "of-the-baseline"), ("of-the-candidate", "of-the-candidate")):
        if own:
            monkeypatch.setenv(CANDIDATE_KEY, own)
        baseline, candidate = sides_of(options, root=Path())
        assert isinstance(baseline, Attached)
        assert isinstance(candidate, Attached)
        assert (baseline.api_key, candidate.api_key) == ("of-the-baseline", shown)


class Compared:
    """How a comparison ended, and what it left."""

    def __init__(self, folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        artifacts = folder / "artifacts"
        self.code = cli.main(["ab", *words, f"--artifacts={artifacts}"])
        self.said = "\n".join(capsys.readouterr())
        (self.folder,) = artifacts.iterdir()
        self.told: dict[str, Any] = json.loads((self.folder / "comparison.json").read_text(encoding="utf-8"))

    @property
    def verdicts(self) -> dict[str, str]:
        return {one["name"]: one["verdict"] for one in self.told["evidence"]}


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """What others do on this machine spoils no run: here it is the servers that are told apart."""
    monkeypatch.setattr(interleaved, "explanation", lambda load, miss: "")


def both(one: Faulty, other: Faulty) -> list[str]:
    return [f"--baseline={one.base_url}", f"--candidate={other.base_url}", *POINT]


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.usefixtures("calm")
def test_a_candidate_that_is_slower_by_a_tenth_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(**PACE) as baseline, running(**SLOWER) as candidate:
        found = Compared(tmp_path, both(baseline, candidate), capsys)
    assert found.code == 1, found.said
    assert found.verdicts["e2e_mean_ms"] == "FAIL"
    assert f"report: {found.folder}/comparison.html" in found.said
    assert "verdict: FAIL - the candidate is worse by more than 3 %: " in found.said
    assert [run["server"] for run in found.told["runs"]] == list("ABBA" * 6)[: len(found.told["runs"])]
    assert len({run["salt"] for run in found.told["runs"]}) == len(found.told["runs"])
    assert "FAIL" in (found.folder / "comparison.html").read_text(encoding="utf-8")
    assert (found.folder / "load.jsonl").stat().st_size > 0


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.usefixtures("calm")
def test_its_equal_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(**PACE) as baseline, running(**PACE) as candidate:
        found = Compared(tmp_path, both(baseline, candidate), capsys)
    assert (found.code, found.told["verdict"]) in ((0, "PASS"), (4, "INCONCLUSIVE")), found.said
    assert "both servers stand at once" in found.said


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.usefixtures("calm")
def test_a_server_against_itself_says_what_the_machine_resolves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(**PACE) as server:
        found = Compared(tmp_path, [f"--baseline={server.base_url}", "--aa", "--metric=e2e_mean_ms", *POINT], capsys)
    assert found.code in (0, 4), found.said
    (resolved,) = found.told["resolutions"]
    assert set(resolved["needed"]) == {"0.01", "0.03", "0.05"}
    assert "the same server on both sides" in found.said
    assert "pairs for 1 %" in found.said


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize(("failing", "code"), [("candidate", 1), ("baseline", 4)])
def test_lost_requests_end_it(failing: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the fortieth request on, which is in its third run."""
    with running(ttft_ms=5, itl_ms=1) as good, running("error-after=40", ttft_ms=5, itl_ms=1) as bad:
        found = Compared(tmp_path, both(good, bad) if failing == "candidate" else both(bad, good), capsys)
    assert found.code == code, found.said
    verdicts = found.verdicts
    assert verdicts.pop("requests") == ("FAIL" if failing == "candidate" else "INCONCLUSIVE")
    assert set(verdicts.values()) == {"INCONCLUSIVE"}
    assert "HTTP 500" in found.said


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.usefixtures("calm")
def test_specs_of_one_device_are_started_in_turn(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One flag changed: the engine takes twice as long for each token."""
    monkeypatch.setenv("HALLMARK_LEASES", str(place.folder / "leases"))
    path = place.spec(perf=[perf_point(requests=4)], engine_args=PACE)
    words = [f"--baseline={path}", "--candidate-engine-arg=itl_ms=80", f"--server-python={sys.executable}", "--pairs-max=3"]
    found = Compared(place.folder, words, capsys)
    assert found.code == 1, found.said
    assert found.verdicts["tpot_mean_ms"] == "FAIL"
    assert "each run starts its server again: one device holds one of them" in found.said
    assert found.told["candidate"].endswith(f"_{MODEL}_cpu with itl_ms=80, {sys.executable}")
    starts = sorted(path.parent.name for path in found.folder.glob("*/server.log"))
    assert starts == ["baseline", "baseline-2", "baseline-3", "candidate", "candidate-2", "candidate-3"]
    place.require_nobody_left()


@pytest.mark.long
@pytest.mark.e2e
@pytest.mark.fresh_interpreter
def test_on_a_busy_machine_it_is_void(place: Place) -> None:
    """Whatever the runs say: here the candidate is slower by a half, beside programs that use all of the core."""
    words = ["hallmark", "ab", f"--artifacts={place.artifacts}", "--minutes=0.05", "--isl=16", "--osl=8", "--concurrency=4"]
    with on_one_core(), burners(), running(ttft_ms=20, itl_ms=5) as one, running(ttft_ms=30, itl_ms=8) as other:
        sides = [f"--baseline={one.base_url}", f"--candidate={other.base_url}"]
        ended = place.start([*words, *sides]).end()
    assert ended.code == 3, ended.said
    assert "verdict: VOID - the machine spoilt the comparison" in ended.out
    assert "others " in ended.out
