"""Performance points of a runtime configuration: the device's own has them with the device's, any other is a cell of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hallmark.core.errors import SpecError, UsageError
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.checks import demanded
from hallmark.specs.model_registry import ModelConfigRegistry
from hallmark.specs.model_spec import ModelSpec
from hallmark.workflows.serve import ServeRequest, chosen_cell
from hallmark.workflows.spec_lint import lint
from hallmark.workflows.spec_remarks import Severity
from selftests.plugin.conftest import Place, place
from selftests.plugin.stand_in_spec import perf_point
from selftests.serving.granite import configured
from selftests.specs.sheets import spec_folder

__all__ = ["place"]
DEVICES = """\
schema_version: 2
devices:
  spyre: { title: Spyre, vendor: IBM, detect: { how: spyre, board: spyre, count: 4 } }
"""


def point(isl: int = 128, concurrency: int = 4, **targets: float) -> dict[str, Any]:
    stated = targets or {"tokens_per_s": 10}
    return {"isl": isl, "osl": 64, "concurrency": concurrency, "requests": 32, "targets": stated, "source": "measured"}


def configs() -> dict[str, list[dict[str, Any]]]:
    """What vllm-spyre supports: three continuous configurations, one of shapes; `tp4` is the entry's own."""
    return {
        "continuous": [
            {"tp_size": 4, "max_model_len": 32768, "max_num_seqs": 32, "perf": [point(8192), point(ttft_mean_ms=50)]},
            {"tp_size": 1, "max_model_len": 3072, "max_num_seqs": 16, "perf": [point(2048)]},
            {"tp_size": 1, "max_model_len": 8192, "max_num_seqs": 4},
        ],
        "static": [
            {
                "tp_size": 1,
                "warmup_shapes": [
                    {"prompt_len": 2048, "new_tokens": 1024, "batch_size": 16},
                    {"prompt_len": 64, "new_tokens": 20, "batch_size": 4},
                ],
                "perf": [point(1024, 16)],
            }
        ],
    }


STATIC = "tp1-2048x1024x16_64x20x4"
MAIN = "id_vllm-spyre_Granite-8B_spyre"


def catalogue(folder: Path, runtime_configs: dict[str, Any] | None = None, **entry: Any) -> Catalogue:
    stated = {
        "default": True,
        "max_context": 32768,
        "engine_args": {"tensor-parallel-size": 4, "max_model_len": 32768, "max_num_seqs": 32, "dtype": "bfloat16"},
        "perf": [point()],
        "runtime_configs": runtime_configs or configs(),
    }
    other = {"max_context": 32768, "perf": [point()]}
    spec = {
        "schema_version": 2,
        "family": "granite",
        "architecture": {"model_type": "granite", "num_hidden_layers": 40},
        "weights": [{"name": "Granite-8B", "repo": "ibm-granite/granite-8b"}],
        "base_targets": {"spyre": [point(256)]},
        "evals": {
            "Granite-8B": [
                {"name": "e", "task": "t", "metrics": ["m"], "reference": 0.8, "tolerance": 0.1, "n": 500, "source": "measured"}
            ]
        },
        "impls": [
            {"name": "vllm-spyre", "status": "functional", "engine": {"version": "==1"}, "devices": {"spyre": stated | entry}},
            {"name": "other", "status": "functional", "engine": {"version": "==1"}, "devices": {"spyre": other}},
        ],
    }
    return load_catalogue([spec_folder(folder, yaml.safe_dump(spec, sort_keys=False), devices=DEVICES)])


def points(folder: Path, **wanted: str) -> dict[str, list[str]]:
    """Cell -> the performance checks that are demanded of it."""
    cells = catalogue(folder).select(Selection(**{"device": "spyre", **wanted}))
    return {cell.id: [entry.check for entry in demanded(cell) if entry.kind == "perf"] for cell in cells}


def test_each_configuration_with_points_is_certified(tmp_path: Path) -> None:
    assert points(tmp_path) == {
        MAIN: ["perf.isl256-osl64-c4", "perf.isl128-osl64-c4", "perf.isl8192-osl64-c4"],
        f"{MAIN}_tp1-3072-16": ["perf.isl2048-osl64-c4"],
        f"{MAIN}_{STATIC}": ["perf.isl1024-osl64-c16"],
    }


@pytest.mark.parametrize(
    ("name", "found"),
    [("tp4-32768-32", MAIN), ("tp1-3072-16", f"{MAIN}_tp1-3072-16"), (STATIC, f"{MAIN}_{STATIC}")],
)
def test_one_is_chosen_by_its_name(tmp_path: Path, name: str, found: str) -> None:
    assert list(points(tmp_path, configuration=name)) == [found]


def test_the_other_implementation_has_none(tmp_path: Path) -> None:
    assert list(points(tmp_path, impl="other")) == ["id_other_Granite-8B_spyre"]
    with pytest.raises(UsageError, match=r"there is: .*spyre .vllm-spyre, tp1-3072-16"):
        points(tmp_path, impl="other", configuration="tp1-3072-16")
    with pytest.raises(UsageError, match="unknown runtime configuration 'tp1-3072-8' - did you mean tp1-3072-16"):
        points(tmp_path, configuration="tp1-3072-8")


def test_the_targets_of_one_point_are_joined(tmp_path: Path) -> None:
    (cell, *_) = catalogue(tmp_path).select(Selection(impl="vllm-spyre"))
    (joined,) = [each for each in cell.perf if each.isl == 128]
    assert {metric.value: value for metric, value in joined.targets.items()} == {"tokens_per_s": 10, "ttft_mean_ms": 50}


def test_a_configuration_is_served_as_it_says(tmp_path: Path) -> None:
    (cell,) = catalogue(tmp_path).select(Selection(configuration="tp1-3072-16"))
    plan = configured(cell)
    assert plan.warnings == ()
    assert {value.name: value.value for value in plan.values} == {
        "tensor_parallel_size": "1",
        "max_model_len": "3072",
        "max_num_seqs": "16",
        "dtype": "bfloat16",
    }
    assert cell.entry.max_context == 3072, "what the server must say of itself"


def test_a_static_one_is_served_although_continuous_batching_is_supported(tmp_path: Path) -> None:
    (cell,) = catalogue(tmp_path).select(Selection(configuration=STATIC))
    plan = configured(cell)
    assert plan.warnings == ()
    assert plan.env["VLLM_SPYRE_WARMUP_PROMPT_LENS"] == "2048,64"
    assert "max_num_seqs" not in {value.name for value in plan.values}


def test_an_entry_that_leaves_its_configuration_open_has_cells_of_all_that_have_points(tmp_path: Path) -> None:
    cells = catalogue(tmp_path, engine_args={"tensor_parallel_size": 1}, max_context=1024).select(Selection(impl="vllm-spyre"))
    assert [cell.id.removeprefix(MAIN) for cell in cells] == ["", "_tp4-32768-32", "_tp1-3072-16", f"_{STATIC}"]


def test_what_serves_or_configures_one_cell_takes_the_devices_own(tmp_path: Path) -> None:
    found = catalogue(tmp_path)
    registry = ModelConfigRegistry(found)
    assert registry.get_configurator("Granite-8B", impl="vllm-spyre").cell.id == MAIN
    assert len(registry.get_model_config("granite").supported_configs.continuous) == 3

    def served(configuration: str = "") -> str:
        chosen = Selection(models=("Granite-8B",), configuration=configuration)
        return chosen_cell(ServeRequest(server="local", selection=chosen, spec_dirs=(tmp_path,), artifacts=tmp_path)).id

    assert served() == MAIN
    assert served("tp1-3072-16") == f"{MAIN}_tp1-3072-16"


def test_the_document_of_each_configuration_is_named_as_its_cell(tmp_path: Path) -> None:
    for cell in catalogue(tmp_path).select(Selection(impl="vllm-spyre")):
        document = ModelSpec.of(cell)
        assert document.model_id == cell.id
        assert ModelSpec.from_json(document.to_dict()) == document
        with pytest.raises(SpecError, match="model_id is not the"):
            ModelSpec.from_json(document.to_dict() | {"model_id": f"{MAIN}_tp9-1-1"})


def waiver(check: str) -> dict[str, str]:
    days = {"made_on": "2026-01-01", "ends_on": "2026-03-01"}
    return {"check": check, "owner": "J. Doe", "reason": "known", "issue": "ABC-12", **days}


def test_a_waiver_goes_where_its_point_is(tmp_path: Path) -> None:
    checks = ["perf.isl2048-osl64-c4", "perf.isl256-osl64-c4", "server.seed", "perf.isl7-osl64-c4"]
    cells = catalogue(tmp_path, waivers=[waiver(check) for check in checks]).select(Selection(impl="vllm-spyre"))
    waived = [[each.check for each in cell.entry.waivers] for cell in cells]
    assert waived == [checks[1:], [checks[0], checks[2]], [checks[2]]]
    wrong = [remark.message for remark in lint([tmp_path])[1] if remark.severity is Severity.ERROR]
    assert [message for message in wrong if "waived" in message] == ["perf.isl7-osl64-c4 is waived and never demanded"]


def test_lint_has_nothing_to_say_of_them(tmp_path: Path) -> None:
    catalogue(tmp_path)
    remarks = [r for r in lint([tmp_path])[1] if r.severity is not Severity.NOTE]
    assert not [remark.message for remark in remarks if "perf" in remark.message or "default" in remark.rule]


def changed(kind: str, place: int, *perf: dict[str, Any]) -> dict[str, Any]:
    stated = configs()
    stated[kind][place]["perf"] = list(perf)
    return stated


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (changed("continuous", 1, point(3009)), "3009 \\+ 64 tokens do not fit in max_model_len 3072"),
        (changed("continuous", 1, point(), point()), "two perf points have the same traffic"),
        (changed("static", 0, point(1024, 17)), "the point isl1024-osl64-c17 fits none of the warm-up shapes"),
        (changed("continuous", 0, point(tokens_per_s=11)), "tokens_per_s 11 contradicts the points of the device, which say 10"),
        (changed("continuous", 0, point(256, tokens_per_s=11)), "tokens_per_s 11 contradicts the base_targets, which say 10"),
        (changed("continuous", 0, {**point(), "targets": {}}), "targets"),
        (changed("continuous", 0, {**point(), "speed": 1}), "unknown key"),
    ],
)
def test_points_that_cannot_be_meant_are_refused(tmp_path: Path, stated: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        catalogue(tmp_path, stated)
    path, _, line = caught.value.where.rpartition(":")
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    assert any("perf:" in text for text in lines[: int(line)]), "the line of the configuration"
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.e2e
def test_a_run_asks_for_the_configuration_that_is_named(place: Place) -> None:
    config = {"tp_size": 1, "max_model_len": 256, "max_num_seqs": 4, "perf": [perf_point(isl=32)]}
    place.spec(perf=[perf_point()], runtime_configs={"continuous": [{**config, "max_model_len": 512, "perf": []}, config]})
    ended = place.release("--runtime-config=tp1-256-4", workflow="spec").end()
    assert ended.folder.name.endswith("_cpu_tp1-256-4-spec")
    manifest = json.loads((ended.folder / "manifest.json").read_text(encoding="utf-8"))
    assert [entry["check"] for entry in manifest["entries"] if entry["kind"] == "perf"] == ["perf.isl32-osl8-c2"]
    assert "runtime-config=tp1-256-4 (command line)" in ended.out
