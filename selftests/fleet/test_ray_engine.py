"""Cells of the real vLLM over a Ray cluster, each as by a run of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from selftests.fleet.ray_cluster import RayCluster
from selftests.fleet.test_matrix_command import folder_of, standing
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.server, pytest.mark.long, pytest.mark.real_evals]
FEW = "hallmark-tiny-few"
MODELS = ["hallmark-tiny", "hallmark-tiny-lora", FEW]
CELL_S = 900.0


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    pytest.importorskip("ray", reason="not tested: pip install 'pytest-hallmark[ray]'")
    made = RayCluster()
    yield made
    made.shutdown()


def write_few(folder: Path) -> None:
    """hallmark-tiny under another name, on an engine that takes four requests at a time, with one of its evals."""
    data = yaml.safe_load((ROOT / "model_specs" / "hallmark-tiny.yaml").read_text(encoding="utf-8"))
    (weights,) = data["weights"]
    (impl,) = data["impls"]
    addition = data["evals"]["hallmark-tiny"][0]
    addition["task_dir"] = str(ROOT / "fixtures" / "hallmark_tiny" / "tasks")
    impl["checks"] = ["server.life.told-to-end"]
    impl["devices"]["cpu"]["engine_args"]["max_num_seqs"] = 4
    impl["devices"]["cpu"]["perf"] = impl["devices"]["cpu"]["perf"][:1]
    weights |= {"name": FEW, "path": str(ROOT / "fixtures" / "hallmark_tiny")}
    data |= {"family": FEW, "evals": {FEW: [addition]}}
    (folder / f"{FEW}.yaml").write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def asked(place: Place, *models: str) -> list[str]:
    named = [f"--model={model}" for model in models]
    python = os.environ["HALLMARK_SERVER_PYTHON"]
    return [*named, "--device=cpu", f"--spec-dir={place.specs}", f"--artifacts={place.artifacts}", f"--server-python={python}"]


def verdicts(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["check"]: row["verdict"] for row in rows}


def test_three_cells_of_a_real_engine_are_judged_as_by_runs_of_their_own(cluster: RayCluster, place: Place) -> None:
    """Both nodes are this machine, and have one folder of leases: their cells take turns, as two runs on it do."""
    write_few(place.specs)
    leases = str(place.folder / "leases")
    nodes = [cluster.add(place, HALLMARK_LEASES=leases), cluster.add(place, HALLMARK_LEASES=leases)]
    words = ["hallmark", "matrix", *asked(place, *MODELS), "--on=ray", f"--device-wait={3 * CELL_S:g}"]
    ended = place.start(words, RAY_ADDRESS=cluster.address).end(deadline_s=6 * CELL_S)
    cluster.require_nothing_left()
    found = standing(folder_of(place)).cells
    assert {each.attempts[0].node for each in found.values()} == {node.name for node in nodes}, ended.said
    for model in MODELS:
        (cell,) = [cell for cell in found if cell.split("_")[2] == model]
        counts = found[cell].counts
        assert counts is not None, ended.said
        assert counts.outcome is not None, ended.said
        run = folder_of(place) / "cells" / cell / str(counts.number) / "run"
        report = json.loads((run / "report.json").read_text(encoding="utf-8"))
        must_be_equal(report, alone(place, model))


def alone(place: Place, model: str) -> Ended:
    """A single run of it; once more where this machine's noise made it VOID, as a matrix does."""
    words = ["hallmark.checkout", "--workflow=release", *asked(place, model)]
    ended = place.start(words).end(deadline_s=CELL_S)
    return place.start(words).end(deadline_s=CELL_S) if ended.outcome == "VOID" else ended


def must_be_equal(report: dict[str, Any], single: Ended) -> None:
    """Check by check, where neither is VOID; and as a whole."""
    over_ray, by_itself = verdicts(report["rows"]), verdicts(single.report["rows"])
    assert over_ray.keys() == by_itself.keys()
    differ = {check for check in over_ray if over_ray[check] != by_itself[check]}
    assert {check for check in differ if "VOID" not in (over_ray[check], by_itself[check])} == set(), single.said
    assert report["decision"]["outcome"] == single.outcome, differ
