"""All spec files together: what is expanded, what is selected, and which names are offered."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from hallmark.core.errors import SpecError, UsageError
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.model import Status, Tier
from selftests.specs.sheets import DEVICES, FAMILY, family_file, line_of, spec_folder, spoilt

SHIPPED = Path(__file__).resolve().parents[2] / "model_specs"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return load_catalogue([spec_folder(tmp_path)])


@pytest.fixture(scope="module")
def shipped() -> Catalogue:
    return load_catalogue([SHIPPED])


def ids(catalogue: Catalogue, **wanted: object) -> set[str]:
    return {cell.id for cell in catalogue.select(Selection(**wanted))}  # type: ignore[arg-type]


def test_the_shipped_specs_load(shipped: Catalogue) -> None:
    """The issue's two families, in the words of the vendor's own ids."""
    assert {"id_vllm-cpu_hallmark-tiny_cpu", "id_tt-transformers_Llama-3.1-70B-Instruct_t3k"} <= {c.id for c in shipped.cells}
    assert len({cell.id for cell in shipped.cells}) == len(shipped.cells)
    assert {"cpu", "t3k"} <= set(shipped.devices)


def test_the_shipped_default_is_a_whole_job(shipped: Catalogue) -> None:
    """hallmark-tiny on cpu has what a release needs: weights that are there, accuracy targets and performance targets."""
    (cell,) = shipped.select(Selection(models=("hallmark-tiny",), device="cpu"))
    assert Path(cell.weights_source).is_dir()
    assert cell.evals
    assert cell.perf
    assert all(Path(cell.beside_spec(target.task_dir), "").is_dir() for target in cell.evals)


def test_weights_times_devices_times_implementations(catalogue: Catalogue) -> None:
    assert {cell.id for cell in catalogue.cells} == {
        f"id_{impl}_{weights}_{device}"
        for weights in ("Small-1B", "Small-1B-Instruct")
        for impl, device in (("plain", "cpu"), ("plain", "t3k"), ("other", "cpu"))
    }


@pytest.mark.parametrize("device", ["t3k", "T3K", "T3k"])
def test_a_device_is_meant_in_any_case(catalogue: Catalogue, device: str) -> None:
    assert ids(catalogue, device=device) == ids(catalogue, device="t3k") != set()


def test_devices_that_differ_by_case_alone_are_not_guessed(tmp_path: Path) -> None:
    more = DEVICES + DEVICES.splitlines()[-1].replace("t3k", "T3K", 1) + "\n"
    both = load_catalogue([spec_folder(tmp_path, devices=more)])
    assert {"t3k", "T3K"} <= set(both.devices)
    with pytest.raises(UsageError, match="unknown device 'T3k'"):
        ids(both, device="T3k")
    assert ids(both, device="t3k")


def test_a_cell_knows_what_is_its_own(catalogue: Catalogue, tmp_path: Path) -> None:
    (cell,) = catalogue.select(Selection(models=("Small-1B-Instruct",), device="cpu", impl="plain"))
    (base,) = catalogue.select(Selection(models=("Small-1B",), device="cpu", impl="plain"))
    assert [target.name for target in cell.evals] == ["sums"]
    assert base.evals == ()
    assert cell.weights_source == str(tmp_path.parent.resolve() / "weights")
    assert base.weights_source == "someone/Small-1B"
    assert cell.impl.status.required_tier is Tier.COMPLETE
    assert Status.TOP_PERF.required_tier is Tier.TARGET


def test_the_devices_variables_win_over_the_implementations(tmp_path: Path) -> None:
    text = spoilt("engine_args:", 'env_vars: { A: "2", B: "3" }\n        engine_args:')
    (cell,) = load_catalogue([spec_folder(tmp_path, text)]).select(Selection(models=("Small-1B",), device="cpu", impl="plain"))
    assert cell.env_vars == {"A": "2", "B": "3"}


def test_a_cell_travels(catalogue: Catalogue) -> None:
    """Self-contained and picklable: that is what lets xdist, and a fleet, take it elsewhere."""
    for cell in catalogue.cells:
        assert pickle.loads(pickle.dumps(cell)) == cell
        assert cell.spec_file.is_absolute()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"models": ("Small-1B",), "device": "cpu"}, {"id_plain_Small-1B_cpu"}),
        ({"models": ("Small-1B",)}, {"id_plain_Small-1B_cpu", "id_plain_Small-1B_t3k"}),
        ({"models": ("*-Instruct",), "device": "t3k"}, {"id_plain_Small-1B-Instruct_t3k"}),
        ({"models": ("Small-?B*",), "device": "t3k"}, {"id_plain_Small-1B_t3k", "id_plain_Small-1B-Instruct_t3k"}),
        ({"device": "cpu", "impl": "other"}, {"id_other_Small-1B_cpu", "id_other_Small-1B-Instruct_cpu"}),
        ({"models": ("Small-1B", "*Instruct"), "impl": "other"}, {"id_other_Small-1B_cpu", "id_other_Small-1B-Instruct_cpu"}),
    ],
)
def test_a_selection_means_these_cells(catalogue: Catalogue, wanted: dict[str, object], expected: set[str]) -> None:
    assert ids(catalogue, **wanted) == expected


@pytest.mark.parametrize(
    ("wanted", "where", "hint"),
    [
        ({"models": ("small-1b-instruct",)}, "--model", "Small-1B-Instruct"),
        ({"models": ("Small-1B", "nothing-like-it")}, "--model", "known: Small-1B, Small-1B-Instruct"),
        ({"models": ("zz*",)}, "--model", "known:"),
        ({"device": "t3"}, "--device", "did you mean t3k?"),
        ({"device": "CPU0"}, "--device", "did you mean cpu?"),
        ({"impl": "plane"}, "--impl", "did you mean plain?"),
    ],
)
def test_a_name_that_is_unknown_brings_the_nearest(
    catalogue: Catalogue, wanted: dict[str, object], where: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        ids(catalogue, **wanted)
    assert (caught.value.where, caught.value.exit_code) == (where, 2)
    assert hint in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_names_that_do_not_go_together_say_what_there_is(catalogue: Catalogue) -> None:
    with pytest.raises(
        UsageError, match=r"no spec of Small-1B for t3k other; there is: cpu \(other\), cpu \(plain\), t3k \(plain\)"
    ):
        ids(catalogue, models=("Small-1B",), device="t3k", impl="other")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (spoilt("default: true", "default: false"), 0),
        (spoilt("cpu: { max_context: 256 }", "cpu: { max_context: 256, default: true }"), 2),
    ],
)
def test_no_default_or_two_is_an_error_until_one_is_named(tmp_path: Path, text: str, count: int) -> None:
    catalogue = load_catalogue([spec_folder(tmp_path, text)])
    with pytest.raises(SpecError, match=f"has {count} default impls among plain, other") as caught:
        ids(catalogue, models=("Small-1B",), device="cpu")
    assert "--impl" in caught.value.hint
    assert str(tmp_path / "small.yaml") in caught.value.where
    assert ids(catalogue, models=("Small-1B",), device="cpu", impl="other") == {"id_other_Small-1B_cpu"}


def test_a_cell_that_two_files_describe_is_an_error(tmp_path: Path) -> None:
    spec_folder(tmp_path)
    family_file(tmp_path, FAMILY.replace("family: small", "family: again"), "twin.yaml")
    with pytest.raises(SpecError, match="id_plain_Small-1B_cpu' exists already") as caught:
        load_catalogue([tmp_path])
    assert caught.value.where == f"{tmp_path / 'twin.yaml'}:3"
    assert "small.yaml" in caught.value.hint


def test_private_specs_join_those_of_the_checkout(tmp_path: Path) -> None:
    """Their folder needs no device catalogue of its own, and may extend the one there is."""
    public, private = spec_folder(tmp_path / "public"), tmp_path / "private"
    private.mkdir()
    family_file(private, FAMILY.replace("Small", "Secret").replace("family: small", "family: secret"), "secret.yaml")
    (private / "devices.yaml").write_text(DEVICES.replace("t3k", "galaxy"))
    catalogue = load_catalogue([public, private])
    assert len(catalogue.cells) == 12
    assert set(catalogue.devices) == {"cpu", "t3k", "galaxy"}


def test_no_folder_may_change_what_a_device_means(tmp_path: Path) -> None:
    """A private `t3k` of one board would certify what the public one does not."""
    public, private = spec_folder(tmp_path / "public"), tmp_path / "private"
    private.mkdir()
    text = DEVICES.replace("count: 4 } }", "count: 1 } } # HERE")
    (private / "devices.yaml").write_text(text)
    with pytest.raises(SpecError, match="device 't3k' exists already") as caught:
        load_catalogue([public, private])
    assert caught.value.where == f"{private / 'devices.yaml'}:{line_of(text)}"


@pytest.mark.parametrize("name", ["gone", "small.yaml"])
def test_a_folder_that_is_none_is_a_usage_error(tmp_path: Path, name: str) -> None:
    spec_folder(tmp_path)
    with pytest.raises(UsageError, match="--spec-dir") as caught:
        load_catalogue([tmp_path / name])
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_folder_has_no_cells_and_says_so(tmp_path: Path) -> None:
    catalogue = load_catalogue([tmp_path])
    assert catalogue.cells == ()
    with pytest.raises(UsageError, match="none is known"):
        ids(catalogue, models=("any",))


def test_a_spec_is_read_under_either_suffix(tmp_path: Path) -> None:
    """A .yml that is passed over in silence would be a cell that nobody misses."""
    (spec_folder(tmp_path) / "small.yaml").rename(tmp_path / "small.yml")
    (tmp_path / "devices.yaml").rename(tmp_path / "devices.yml")
    assert len(load_catalogue([tmp_path]).cells) == 6


def test_a_device_may_differ_from_the_rest(tmp_path: Path) -> None:
    text = spoilt(
        "      t3k:\n",
        "      t3k:\n        status: top_perf\n        image: some/image:2\n"
        "        commits: { a: v1 }\n        system_deps: { gcc: '>=9' }\n",
    )
    catalogue = load_catalogue([spec_folder(tmp_path, text)])
    there = {cell.device: cell.impl for cell in catalogue.select(Selection(models=("Small-1B",), impl="plain"))}
    assert (there["t3k"].status, there["cpu"].status) == (Status.TOP_PERF, Status.COMPLETE)
    assert (there["t3k"].image, there["t3k"].commits, there["t3k"].system_deps) == ("some/image:2", {"a": "v1"}, {"gcc": ">=9"})
    assert (there["cpu"].image, there["cpu"].commits, there["cpu"].system_deps) == ("", {}, {})


def test_variables_of_a_tensor_parallel_size_come_between(tmp_path: Path) -> None:
    text = spoilt(
        "engine_args: { max_num_seqs: 8 }",
        "engine_args: { tensor_parallel_size: 2 }\n        env_vars: { C: near }\n"
        "        device_configs:\n          2: { env_vars: { A: size, C: size } }\n          4: { env_vars: { A: other } }",
    )
    (cell,) = load_catalogue([spec_folder(tmp_path, text)]).select(Selection(models=("Small-1B",), device="cpu", impl="plain"))
    assert cell.entry.tp_size == 2
    assert cell.env_vars == {"A": "size", "C": "near"}


def test_base_targets_hold_for_every_implementation(tmp_path: Path) -> None:
    """The architecture's points, with what an implementation adds to them, then its own."""
    base = "base_targets:\n  cpu:\n"
    for users, targets in ((2, "{ ttft_mean_ms: 7 }"), (4, "{ ttft_mean_ms: 9 }")):
        base += f"    - {{ isl: 64, osl: 32, concurrency: {users}, requests: 8, targets: {targets}, source: theory }}\n"
    catalogue = load_catalogue([spec_folder(tmp_path, spoilt("impls:\n", base + "impls:\n"))])
    plain, other = (
        {point.name: point for point in cell.perf}
        for impl in ("plain", "other")
        for cell in catalogue.select(Selection(models=("Small-1B",), device="cpu", impl=impl))
    )
    assert list(plain) == list(other) == ["isl64-osl32-c2", "isl64-osl32-c4"]
    assert other["isl64-osl32-c2"].targets == {"ttft_mean_ms": 7}
    assert plain["isl64-osl32-c2"].targets == {"ttft_mean_ms": 7, "tokens_per_s": 10, "tokens_per_s_per_user": 5}
    assert plain["isl64-osl32-c2"].source == "theory; measured"
    (t3k,) = catalogue.select(Selection(models=("Small-1B",), device="t3k"))
    assert t3k.perf == ()


def test_a_container_is_given_what_device_and_implementation_want(tmp_path: Path) -> None:
    devices = DEVICES.replace(
        "count: 4 } }", "count: 4 },\n    container: { devices: [/dev/tt], ipc: host, env_vars: { A: d, B: d } } }"
    )
    text = spoilt(
        "status: complete", "status: complete\n    container: { devices: [/dev/own, /dev/tt], memory_gib: 9, env_vars: { B: i } }"
    )
    catalogue = load_catalogue([spec_folder(tmp_path, text, devices=devices)])
    (cell,) = catalogue.select(Selection(models=("Small-1B",), device="t3k"))
    assert cell.container.devices == ("/dev/tt", "/dev/own")
    assert (cell.container.ipc, cell.container.memory_gib, cell.container.env_vars) == ("host", 9, {"A": "d", "B": "i"})


def test_weights_say_what_they_want_of_the_engine(tmp_path: Path) -> None:
    text = spoilt("path: ../weights }", "path: ../weights, engine_args: { tool_call_parser: x, max_num_seqs: 1 } }")
    catalogue = load_catalogue([spec_folder(tmp_path, text)])
    arguments = {c.model: c.entry.engine_args for c in catalogue.select(Selection(device="cpu", impl="plain"))}
    assert arguments == {
        "Small-1B": {"max_num_seqs": 8},
        "Small-1B-Instruct": {"tool_call_parser": "x", "max_num_seqs": 8},
    }
