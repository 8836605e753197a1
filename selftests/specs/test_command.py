"""`hallmark specs ...` as a person and a program use it: output, exit codes, one line for what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark.cli import main
from hallmark.specs.catalogue import load_catalogue
from hallmark.workflows import specs_command
from selftests.specs.sheets import FAMILY, family_file, line_of, spec_folder, spoilt, weights_folder

PRINTED = Path(__file__).parent / "printed"
ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "model_specs"


class Command:
    """Runs a command in this process over a folder of specs."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        """(exit code, output, errors)"""
        name, *rest = map(str, arguments)
        code = main(["specs", name, f"--spec-dir={self.folder}", *rest])
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *arguments: str | Path) -> Any:
        code, out, _ = self(*arguments, "--json")
        assert code == 0, out
        return json.loads(out)


@pytest.fixture
def specs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    weights_folder(tmp_path / "specs")
    return Command(spec_folder(tmp_path / "specs"), capsys)


@pytest.fixture
def shipped(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(SHIPPED, capsys)


def test_list_has_a_line_for_each_cell(specs: Command) -> None:
    code, out, _ = specs("list")
    assert code == 0
    head = "model device impl default status context evals perf targets can it be accepted?"
    assert out.splitlines()[0].split() == head.split()
    assert "6 cells (5 of them drafts, which may be run and are never accepted) of 2 models on 2 devices" in out
    assert [line.rstrip().endswith("yes") for line in out.splitlines()[1:-1]] == [False, False, False, True, False, False]
    (other,) = [line for line in out.splitlines() if line.split()[:3] == ["Small-1B", "cpu", "other"]]
    assert other.rstrip().endswith(" draft: missing engine version, eval targets, perf targets")
    rows = specs.json("list", "--model", "*-Instruct", "--device", "cpu")
    assert [(row["impl"], row["default"], row["evals"], row["perf_targets"]) for row in rows] == [
        ("plain", True, 1, 2),
        ("other", False, 1, 0),
    ]


def test_private_specs_stand_beside_the_public_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private = Command(spec_folder(tmp_path / "specs"), capsys)
    (tmp_path / "specs" / "devices.yaml").unlink()
    models = {row["model"] for row in private.json("list")}
    assert {"Small-1B", "hallmark-tiny"} <= models
    code, _, err = Command(tmp_path / "gone", capsys)("list")
    assert code == 2
    assert "is not a folder" in err


def test_expand_tells_all_that_holds_for_a_cell(specs: Command) -> None:
    (cell,) = specs.json("expand", "--model=Small-1B", "--device=t3k")
    assert cell["id"] == "id_plain_Small-1B_t3k"
    assert cell["env_vars"] == {"A": "1"}
    assert "spec.env.A" in cell["checks"]
    assert "id_plain_Small-1B_t3k" in specs("expand")[1]


def test_show_prints_a_whole_file(shipped: Command, tmp_path: Path) -> None:
    """With what was inherited; and it loads."""
    code, out, _ = shipped("show", "granite-4-8b-dense-FP8")
    assert code == 0
    assert "VLLM_DT_MAX_BATCH_TKV_LIMIT" in out
    (tmp_path / "shown.yaml").write_text(out)
    (tmp_path / "devices.yaml").write_text((SHIPPED / "devices.yaml").read_text())
    assert {cell.device for cell in load_catalogue([tmp_path]).cells} == {"spyre", "spyre_x4"}
    assert shipped.json("show", "ibm-granite/granite-4-8b-dense-FP8")["family"] == "granite-4-8b-dense-FP8"


def test_no_secret_of_a_spec_is_printed(specs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs_command, "known_tasks", lambda: None)
    family_file(specs.folder, spoilt('A: "1"', 'HF_TOKEN: "canary-9911", A: "1"'))
    for command in (("list",), ("expand",), ("show", "small"), ("lint",)):
        for form in ((), ("--json",)):
            out = "".join(map(str, specs(*command, *form)))
            assert "canary-9911" not in out, command


def test_match_explains(specs: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "tiny", "hidden_size": 8}')
    code, out, _ = specs("match", config)
    assert code == 0
    assert "match: someone/Small-1B" in out
    config.write_text('{"model_type": "tiny", "hidden_size": 9}')
    code, out, _ = specs("match", config)
    assert code == 1
    assert "hidden_size is 9, not 8" in out
    assert "no match" in out
    code, out, _ = specs("match", config, "--json")
    told = json.loads(out)
    assert told["match"] is None
    assert told["candidates"][0]["mismatches"] == [{"attribute": "hidden_size", "wanted": "8", "found": "9"}]


def test_a_tie_is_an_error_that_names_both(specs: Command, tmp_path: Path) -> None:
    family_file(specs.folder, FAMILY.replace("Small", "Twin").replace("family: small", "family: twin"), "twin.yaml")
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "tiny", "hidden_size": 8}')
    code, out, err = specs("match", config)
    assert code == 2
    assert out.count("matches") == 2
    assert "someone/Small-1B, someone/Twin-1B" in err


def test_lint_counts_and_exits(specs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(specs_command, "known_tasks", lambda: None)  # reading lm-eval's has a test of its own
    code, out, _ = specs("lint")
    drafts = "5 of them drafts, which may be run and are never accepted"
    assert (code, out) == (0, f"6 cells ({drafts}): 0 errors, 0 warnings (5 notes with -v)\n")
    assert "states no n" in specs("lint", "-v")[1]
    family_file(specs.folder, spoilt("max_num_seqs: 8", "max_num_seqs: 1"))
    code, out, _ = specs("lint")
    assert code == 0
    assert "0 errors, 1 warnings" in out, "the same of both weights"
    assert "Small-1B on cpu (plain); Small-1B-Instruct on cpu (plain)" in out
    assert specs("lint", "--strict")[0] == 1
    family_file(specs.folder, text := spoilt("isl: 64", "isl: -64 # HERE"))
    code, out, _ = specs("lint")
    assert code == 2, "as for any command: the spec cannot be loaded"
    assert f"{specs.folder / 'small.yaml'}:{line_of(text)}: " in out
    code, out, _ = specs("lint", "--json")
    assert code == 2
    assert [remark["rule"] for remark in json.loads(out)["remarks"]] == ["load"]


def test_convert_writes_files_that_load(shipped: Command, tmp_path: Path) -> None:
    code, out, _ = shipped("convert", PRINTED / "generation.yaml", f"--out={tmp_path / 'new'}")
    assert (code, out) == (0, f"wrote {tmp_path / 'new' / 'granite-3.3-8b-instruct.yaml'}\n")
    code, _, err = shipped("convert", PRINTED / "generation.yaml", f"--out={tmp_path / 'new'}")
    assert code == 2
    assert "exists already" in err
    (tmp_path / "new" / "devices.yaml").write_text((SHIPPED / "devices.yaml").read_text())
    assert [cell.id for cell in load_catalogue([tmp_path / "new"]).cells] == ["id_vllm-spyre_granite-3.3-8b-instruct_spyre_x4"]


def test_convert_prints_what_it_would_write(shipped: Command, tmp_path: Path) -> None:
    code, out, _ = shipped("convert", PRINTED / "model_specification.json")
    assert code == 0
    assert out.startswith("# Converted from model_specification.json")
    assert "max_context: 131072" in out
    assert shipped.json("convert", PRINTED / "embedding.yaml")[0]["family"] == "all-roberta-large-v1"


def test_schema_is_printed_and_written(specs: Command, tmp_path: Path) -> None:
    code, out, _ = specs("schema")
    assert code == 0
    assert specs("schema", f"--write={tmp_path}") == (0, "", "")
    assert (tmp_path / "schema.json").read_text() == out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--model", "Smal-1B"), "unknown model 'Smal-1B' - did you mean Small-1B"),
        (("list", "--device", "t3"), "unknown device 't3' - did you mean t3k?"),
        (("expand", "--impl", "plan"), "unknown impl 'plan' - did you mean plain?"),
        (("show", "nothing"), "unknown model 'nothing'"),
        (("match", "gone.json"), "gone.json: cannot be read"),
        (("convert", "gone.json"), "gone.json: cannot be read"),
        (("convert", "spec.toml"), "no format that can be converted"),
        (("convert", "x.json", "--max-context", "0"), "0 is no context length"),
        (("convert", PRINTED / "architecture.yaml"), "is a fragment without name"),
        (("convert", PRINTED / "runtime_environment.json"), "embeds an empty tt_model_spec"),
    ],
)
def test_what_is_wrong_is_one_line(specs: Command, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = specs(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("hallmark specs: ")
    assert len(err.splitlines()) == 1


def test_a_spec_that_does_not_load_is_one_line(specs: Command) -> None:
    family_file(specs.folder, text := spoilt("isl: 64", "isl: -64 # HERE"))
    code, _, err = specs("list")
    assert code == 2
    assert f"{specs.folder / 'small.yaml'}:{line_of(text)}: " in err
    assert len(err.splitlines()) == 1


def test_a_reader_that_has_seen_enough_ends_it_in_peace() -> None:
    command = f"{sys.executable} -m hallmark specs expand --json | head -1"
    ended = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[\n", "")
