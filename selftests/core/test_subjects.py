"""Subjects by digest: the same exactly where what they are of is the same, wherever it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError
from hallmark.core.subjects import (
    SUBJECTS_FILE,
    Subjects,
    device_detail,
    read_subjects,
    spec_detail,
    subject,
    weights_root,
    write_subjects,
)

PACKAGES = {"python": "3.11.7", "packages": {"vllm": {"version": "0.32.0", "files": "a" * 64}}}


def of(detail: dict[str, object]) -> str:
    return subject("environment", "packages", detail, taken_from="files", told="").sha256


def test_a_digest_is_of_the_detail_alone_and_of_no_order() -> None:
    assert of(PACKAGES) == of(dict(reversed(PACKAGES.items())))
    assert of(PACKAGES) != of({**PACKAGES, "python": "3.11.8"})


def test_a_secret_is_taken_out_before_the_digest_is_made() -> None:
    def redact(text: str) -> str:
        return text.replace("hunter22", "...")

    found = subject("arguments", "vllm", {"key": "hunter22"}, taken_from="spec", told="by hunter22", redact=redact)
    assert (found.detail, found.told, found.follows) == ({"key": "..."}, "by ...", True)


def test_the_root_of_weights_is_in_the_order_of_the_parts_of_paths() -> None:
    """As `model-signing` has it: `d0/f` stands before `d0-x`, though `-` stands before `/`."""
    resources = [{"name": name, "digest": digest * 32} for name, digest in (("d0-x", "02"), ("d0/f", "01"))]
    assert weights_root(resources) == weights_root(resources[::-1])
    assert weights_root(resources) == weights_root([{"name": "a", "digest": "01" * 32}, {"name": "b", "digest": "02" * 32}])


def manifest(folder: str, task: str = "tasks") -> dict[str, object]:
    family = {"weights": [{"path": f"{folder}/weights"}], "evals": {"m": [{"task_dir": f"{folder}/{task}"}]}}
    return {"cell": "id_vllm_m_cpu", "spec": {"spec_file": f"{folder}/m.yaml", "family_spec": family}}


def test_a_spec_is_the_same_in_another_folder() -> None:
    assert spec_detail(manifest("/home/a/specs")) == spec_detail(manifest("/srv/b"))
    assert spec_detail(manifest("/srv/b")) != spec_detail(manifest("/srv/b", "other_tasks"))


def test_another_board_or_driver_is_another_device() -> None:
    chip = {"vendor": "nvidia", "name": "H100", "id": "GPU-1", "memory": "80GB", "source": "nvidia-smi"}
    one = device_detail({"accelerators": [chip], "driver_version": "570.1"})
    assert one == device_detail({"accelerators": [chip | {"source": "PCI"}], "driver_version": "570.1"})
    assert one != device_detail({"accelerators": [chip | {"id": "GPU-2"}], "driver_version": "570.1"})
    assert one != device_detail({"accelerators": [chip], "driver_version": "570.2"})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert read_subjects(tmp_path) is None
    found = Subjects(
        subjects=(subject("environment", "packages", PACKAGES, taken_from="process", told="seen"),), unknown={"weights": "no"}
    )
    write_subjects(tmp_path, found)
    assert read_subjects(tmp_path) == found
    (tmp_path / SUBJECTS_FILE).write_text('{"format": 1, "subjects": [{}]}')
    with pytest.raises(InfrastructureError, match="holds no subjects"):
        read_subjects(tmp_path)
