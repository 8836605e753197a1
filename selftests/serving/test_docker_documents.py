"""What a container is shown of its own run: the spec, and the environment as it was collected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hallmark.serving.container import ContainerPlan
from hallmark.serving.docker.documents import specification_file, with_documents
from hallmark.specs.catalogue import Selection, load_catalogue
from selftests.serving.plans import plan_of
from selftests.specs.sheets import spec_folder

ENVIRONMENT = "runtime_environment.json"


def test_what_was_written_is_mounted_read_only_and_nothing_else(tmp_path: Path) -> None:
    (cell,) = load_catalogue([spec_folder(tmp_path / "specs")]).select(
        Selection(models=("Small-1B",), device="t3k", impl="plain")
    )
    name = specification_file(cell)
    assert name == "model_specification_Small-1B_T3K.json"
    local = plan_of((), "http://127.0.0.1:8000", tmp_path)
    assert with_documents(local, cell, tmp_path) is local
    plan = replace(local, container=ContainerPlan(image="i", port=8000, binds=("/a:/b",)))
    assert with_documents(plan, cell, tmp_path).container == plan.container, "Docker would make a folder of what is not there"
    for written in (name, ENVIRONMENT):
        (tmp_path / written).write_text("{}")
    shown = with_documents(plan, cell, tmp_path)
    mounts = [f"{tmp_path / written}:/workspace/{written}:ro" for written in (name, ENVIRONMENT)]
    assert shown.container
    assert shown.container.binds == ("/a:/b", *mounts)
    assert all(f"-v {mount}" in shown.command() for mount in mounts)
