"""Two documents of one server say the same; whatever identifies it shows in one sentence where it differs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from hallmark.environment.same_subjects import differences, digest_of, first_difference, identity

ENVIRONMENT: dict[str, Any] = {
    "python_version": "3.11.7",
    "installed_packages": ["torch==2.13.0", "vllm==0.32.0"],
    "driver_version": "550.54",
    "system_info": {"os": "Debian 12", "architecture": "x86_64", "memory_total": "512GB"},
    "accelerators": [{"vendor": "nvidia", "name": "H100", "id": "GPU-1", "memory": "80GB", "source": "nvidia-smi"}],
    "builds": [{"names": ["vllm"], "commit": "abc", "changed": []}],
    "environment": {"OMP_NUM_THREADS": "1"},
    "device_presence": {"found": "H100", "looked": ["nvidia-smi: H100"]},
    "collected_by": "/a/bin/python",
    "looked": {"nvidia": ["nvidia-smi: 1 device"]},
    "served": {"base_url": "http://127.0.0.1:1234"},
}
PLAN: dict[str, Any] = {
    "base_url": "http://127.0.0.1:1234",
    "served_model": "tiny",
    "command": "python -m vllm --port 1234",
    "values": [{"name": "dtype", "value": "float32", "origin": "spec"}, {"name": "VLLM_API_KEY", "value": "a"}],
}


def changed(document: dict[str, Any], *path: Any, to: object) -> dict[str, Any]:
    copy = deepcopy(document)
    inner: Any = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = to
    return copy


def of(environment: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    return list(differences(identity(ENVIRONMENT, PLAN), identity(environment, plan)))


@pytest.mark.parametrize(
    ("path", "to", "told"),
    [
        (("installed_packages", 0), "torch==2.14.0", "the server's torch is 2.14.0, it was 2.13.0"),
        (("installed_packages",), ["vllm==0.32.0"], "the server's torch is not there, it was 2.13.0"),
        (("driver_version",), "560.1", "the driver is 560.1, it was 550.54"),
        (("accelerators", 0, "id"), "GPU-2", "accelerator 1 is nvidia H100 GPU-2 80GB, it was nvidia H100 GPU-1 80GB"),
        (("accelerators",), [], "accelerator 1 is not there, it was nvidia H100 GPU-1 80GB"),
        (("builds", 0, "commit"), "def", "the commit of vllm is def [], it was abc []"),
        (("environment", "OMP_NUM_THREADS"), "2", "the server's variable OMP_NUM_THREADS is 2, it was 1"),
        (("system_info", "memory_total"), "256GB", "the machine's memory_total is 256GB, it was 512GB"),
        (("device_presence", "found"), "A100", "the device is A100, it was H100"),
    ],
)
def test_another_environment_is_one_sentence(path: tuple[Any, ...], to: object, told: str) -> None:
    assert of(changed(ENVIRONMENT, *path, to=to), PLAN) == [told]


def test_another_argument_is_one_sentence() -> None:
    assert of(ENVIRONMENT, changed(PLAN, "values", 0, "value", to="auto")) == ["the server's dtype is auto, it was float32"]


@pytest.mark.parametrize(
    ("path", "to"),
    [(("collected_by",), "/b/bin/python"), (("looked",), {}), (("served",), {}), (("device_presence", "looked"), [])],
)
def test_what_differs_from_start_to_start_is_no_difference(path: tuple[Any, ...], to: object) -> None:
    plan = changed(changed(PLAN, "base_url", to="http://127.0.0.1:99"), "command", to="python -m vllm --port 99")
    assert of(changed(ENVIRONMENT, *path, to=to), changed(plan, "values", 1, "value", to="another key")) == []


def test_documents_that_are_nonsense_are_of_nothing() -> None:
    assert identity({"installed_packages": 3, "cpu": [], "builds": [1]}, {"values": "x"}).keys() <= {"the commit of "}


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, "a.b[1].c is 3, it was 2"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is 2, it was not there"),
        ({"a": 1}, {}, "a is not there, it was 1"),
        ([1], [1, 2], "it is 2 entries, it was 1 entries"),
        ({"a": None}, {"a": None}, ""),
    ],
)
def test_the_first_difference_of_two_documents(before: Any, now: Any, told: str) -> None:
    assert first_difference(before, now, "" if isinstance(before, dict) else "it") == told


def test_the_digest_is_of_the_content_and_not_of_its_spelling() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
