"""`hallmark verify --against URL`: a run is not taken for one of a server that is another by now, nor for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hallmark.client.fingerprints import take_fingerprint
from hallmark.client.offers import Offers
from hallmark.client.wire import WireClient
from hallmark.core.errors import InfrastructureError, UsageError
from hallmark.core.subjects import Subjects, subject, write_subjects
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.weights_manifest import manifest_of
from hallmark.evals.fingerprints import keep_fingerprint
from hallmark.report.build import load
from hallmark.serving.ports import free_port
from hallmark.workflows.verify.against import Agreement, Comparison, held_against
from hallmark.workflows.verify.timely import OUTDATED, timely
from selftests.faulty import MODEL, Faulty, running

Agreements = dict[str, Agreement]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves that measured the stand-in, as far as that is asked for here."""
    folder = tmp_path_factory.mktemp("run")
    with running() as server, WireClient(server.base_url, MODEL) as client:
        served = {"version": client.get("/version").json(), "models": client.get("/v1/models").json()}
        keep_fingerprint(folder / "evals", take_fingerprint(client, Offers(client), None, context=0))
    values = [{"name": "max_num_seqs", "value": "8", "origin": "spec"}, {"name": "PYTHONPATH", "value": "/x", "origin": "spec"}]
    write(folder / "launch_plan.json", {"served_model": MODEL, "values": values})
    write(folder / "runtime_environment.json", {"served": served})
    weights = folder.with_name("weights")
    write(weights / "config.json", {})
    detail = manifest_of(weights, DigestCache(None)).detail()
    write_subjects(folder, Subjects(subjects=(subject("weights", MODEL, detail, taken_from="spec", told=""),)))
    return folder


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def found(folder: Path, server: Faulty, weights: Path | None = None) -> list[Comparison]:
    return held_against(folder, server.base_url, weights)


def agreements(compared: list[Comparison]) -> Agreements:
    return {one.what: one.agreement for one in compared}


def ended(compared: list[Comparison], *, code: int = 0, folder: Path = Path("run"), today: str = "") -> tuple[int, list[str]]:
    """As `hallmark verify` ends after a verification that ended with `code`."""
    report = load(folder) if (folder / "manifest.json").is_file() else None
    verification = SimpleNamespace(exit_code=code, folder=folder, valid_until=report.valid_until if report else "")
    last = timely(verification, ("VERIFIED: ACCEPTED",), compared, url="http://there", today=today)
    return last.exit_code, list(last.lines)


def test_the_server_that_was_measured_is_known_again(measured: Path) -> None:
    with running(max_num_seqs=8) as server:
        compared = found(measured, server, measured.with_name("weights"))
    same = ("engine version", "model", "context length", "arguments", "numerics", "weights")
    assert [what for what in same if agreements(compared)[what] is not Agreement.SAME] == [], compared
    code, lines = ended(compared)
    assert (code, lines[0]) == (0, "VERIFIED: ACCEPTED")


STALE: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "another version": ((), {"version": "0.33.0"}, "STALE: engine version 0.33.0 runs there, 0.32.0 was measured"),
    "another model": (("wrong-model-name",), {}, "STALE: model: some-other-model is served there, stand-in was measured"),
    "another context": ((), {"max_model_len": 256}, "STALE: context length 256 there, 512 was measured"),
    "other arguments": ((), {"max_num_seqs": 4}, "STALE: arguments: max_num_seqs is 4 there, 8 was measured"),
    "other weights": (
        ("prompt-logprobs-lower=3",),
        {},
        "STALE: numerics: another model answers there: log-probabilities differ by",
    ),
}


@pytest.mark.parametrize("what", STALE)
def test_another_server_is_stale(measured: Path, what: str) -> None:
    faults, options, line = STALE[what]
    with running(*faults, **options) as server:
        code, lines = ended(found(measured, server))
    assert code == OUTDATED
    assert lines[0].startswith(line), lines


def test_other_weights_on_its_machine_are_stale(measured: Path, tmp_path: Path) -> None:
    write(tmp_path / "config.json", {"hidden_size": 1})
    with running() as server:
        code, lines = ended(found(measured, server, tmp_path))
        with pytest.raises(UsageError, match="no file of weights in "):
            found(measured, server, tmp_path / "none")
    assert (code, lines[0]) == (OUTDATED, f"STALE: weights: config.json in {tmp_path} is not what was measured")


def test_the_weights_of_another_folder_than_the_servers_show_nothing(measured: Path, tmp_path: Path) -> None:
    """Whoever names the folder that was measured, and not the one that is read."""
    write(tmp_path / "w" / "config.json", {"hidden_size": 1})
    weights = measured.with_name("weights")
    with running(model=tmp_path, served_model_name=MODEL) as server:
        told = {one.what: one for one in found(measured, server, weights)}["weights"]
        assert agreements(found(measured, server, tmp_path.joinpath("..", tmp_path.name, "w")))["weights"] is Agreement.STALE
    assert (told.agreement, told.told.partition(", and ")[2]) == (Agreement.UNTOLD, f"the server says that it reads {tmp_path}")
    with running(model=weights, served_model_name=MODEL) as server:
        assert agreements(found(measured, server, weights))["weights"] is Agreement.SAME


def test_what_a_server_does_not_tell_is_said(measured: Path) -> None:
    """By its name and its version alone it may have other weights: that is not decided, unless those are read."""
    with running("offers-only=completions") as server:
        compared = found(measured, server)
        with_weights = found(measured, server, measured.with_name("weights"))
    assert agreements(compared)["numerics"] is Agreement.UNTOLD
    code, lines = ended(compared)
    assert (code, lines[0].partition(": the server")[0]) == (4, "NOT DECIDED: whether it is about http://there: numerics")
    code, lines = ended(with_weights)
    assert (code, lines[1:3]) == (0, ["held against http://there:", "  as it was measured:"])
    assert any(line.startswith("    numerics: the server ") for line in lines)


@pytest.mark.parametrize("what", ["engine version", "model"])
def test_a_server_that_does_not_tell_who_it_is_leaves_it_undecided(what: str) -> None:
    whats = dict.fromkeys(("engine version", "model", "numerics"), Agreement.SAME) | {what: Agreement.UNTOLD}
    code, lines = ended([Comparison(what=name, agreement=agreement, told="-") for name, agreement in whats.items()])
    assert (code, lines[0]) == (4, f"NOT DECIDED: whether it is about http://there: {what}: -")


def test_nobody_there_and_nobody_admitted_are_told(measured: Path) -> None:
    with pytest.raises(InfrastructureError, match="no server answers there"):
        held_against(measured, f"http://127.0.0.1:{free_port('127.0.0.1')}", None)
    with running(api_key="k") as server, pytest.raises(UsageError, match="set the variable HALLMARK_API_KEY"):
        found(measured, server)


@pytest.fixture
def held(tmp_path: Path) -> Callable[[int], Path]:
    """A run of 2026-01-10 that counts for so many days."""

    def made(days: int) -> Path:
        told = {"cell": "c", "model": "m", "device": "d", "impl": "i", "workflow": "release", "entries": []}
        write(tmp_path / "manifest.json", {**told, "started_at": "2026-01-10T23:00:00+00:00", "valid_days": days})
        return tmp_path

    return made


@pytest.mark.parametrize(
    ("days", "today", "code"),
    [(90, "2026-04-10", 0), (90, "2026-04-11", OUTDATED), (1, "2026-01-12", OUTDATED), (0, "2099-01-01", 0)],
)
def test_its_days_end(held: Callable[[int], Path], days: int, today: str, code: int) -> None:
    folder = held(days)
    ends, lines = ended([], folder=folder, today=today)
    assert ends == code
    assert lines[0].startswith(f"ENDED: {folder}: it held until " if code else "VERIFIED")


def test_a_run_that_was_rejected_stays_that(held: Callable[[int], Path]) -> None:
    code, lines = ended([], code=1, folder=held(1), today="2026-02-01")
    assert (code, lines[1]) == (1, "VERIFIED: ACCEPTED")
