"""tt-inference-server's `model_specification_*.json`, and the `runtime_environment.json` that embeds one.

A specification names its model, implementation and device in `model_id`, and states what the server's environment must
have. What a native spec needs besides (the context length, the repository) it may lack: then it comes from the caller or
from the catalogue's cell of the same id, and is never made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError
from hallmark.specs.cell import Cell
from hallmark.specs.foreign.loose_json import loads
from hallmark.specs.loader import validate
from hallmark.specs.model import SCHEMA_VERSION, FamilySpec
from hallmark.specs.strict import Scalar
from hallmark.specs.text_file import read_text
from hallmark.specs.yaml_source import YamlSource

_ID = re.compile(r"id_(?P<impl>[^_]+)_(?P<model>.+)_(?P<device>[^_]+)")
_STATUS = {"COMPLETE": "complete", "TOP_PERF": "top_perf"}
_COMMITS = {"tt_metal_commit": "tt_metal", "vllm_commit": "vllm"}
_READ = frozenset(
    {
        *("model_id", "system_deps", "python_deps", "env_vars", "hf_model_repo", "docker_image", "status", "device_model_spec"),
        *("impl", "model_name", "device_type", *_COMMITS),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpecification:
    """What one such file says."""

    path: Path
    model_id: str
    impl: str
    model: str
    device: str
    system_deps: Mapping[str, str]
    python_deps: Mapping[str, str]
    env_vars: Mapping[str, str]
    repo: str = ""
    image: str = ""
    status: str = "functional"
    commits: Mapping[str, str] = field(default_factory=dict)
    max_context: int | None = None
    engine_args: Mapping[str, Scalar] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    """Keys that nothing here stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEnvironment:
    """A `runtime_environment.json` of the original: what was demanded, if it says so, and what was found."""

    spec: ModelSpecification | None
    document: Mapping[str, Any]


def read_specification(path: Path, *, devices: Iterable[str] = ()) -> ModelSpecification:
    return parse_specification(read_text(path), path, devices=devices)


def parse_specification(text: str, path: Path, *, devices: Iterable[str] = ()) -> ModelSpecification:
    """The specification in `text`; `devices` are names that may end an id, for those that hold an underscore."""
    data = loads(text, path)
    return _specification(data.get("runtime_model_spec", data), path, devices)


def parse_environment(text: str, path: Path, *, devices: Iterable[str] = ()) -> RuntimeEnvironment:
    """A runtime environment; its `tt_model_spec` may be empty, as in the original's documentation."""
    data = loads(text, path)
    embedded = data.get("tt_model_spec")
    if not isinstance(embedded, dict):
        raise SpecError("tt_model_spec is missing", where=str(path), hint="a runtime_environment.json embeds its model spec")
    return RuntimeEnvironment(spec=_specification(embedded, path, devices) if embedded else None, document=data)


def _specification(data: Any, path: Path, devices: Iterable[str]) -> ModelSpecification:
    if not isinstance(data, dict):
        raise SpecError("must be an object", where=str(path), hint="start with `{`")
    impl, model, device = _parts(data.get("model_id"), path, devices)
    of_device = data.get("device_model_spec") or {}
    arguments = {
        name.replace("-", "_"): value
        for name, value in (of_device.get("vllm_args") or {}).items()
        if isinstance(value, str | int | float | bool)
    }
    context = of_device.get("max_context") or arguments.get("max_model_len")
    return ModelSpecification(
        path=path,
        model_id=data["model_id"],
        impl=impl,
        model=model,
        device=device,
        system_deps=_texts(data, "system_deps", path),
        python_deps=_texts(data, "python_deps", path),
        env_vars=_texts(data, "env_vars", path) | _texts(of_device, "env_vars", path),
        repo=str(data.get("hf_model_repo") or ""),
        image=str(data.get("docker_image") or ""),
        status=_STATUS.get(str(data.get("status")).rpartition(".")[2].upper(), "functional"),
        commits={name: str(data[key]) for key, name in _COMMITS.items() if data.get(key)},
        max_context=context if isinstance(context, int) else None,
        engine_args=arguments,
        unread=tuple(sorted(set(data) - _READ)),
    )


def _parts(model_id: object, path: Path, devices: Iterable[str]) -> tuple[str, str, str]:
    """(implementation, model, device) of an id such as id_tt-transformers_Llama-3.1-70B-Instruct_t3k."""
    text = model_id if isinstance(model_id, str) else ""
    longest_first = sorted(devices, key=len, reverse=True)
    if known := next((device for device in longest_first if text.endswith(f"_{device}")), ""):
        match = re.fullmatch(r"id_([^_]+)_(.+)", text.removesuffix(f"_{known}"))
        if match:
            return match[1], match[2], known
    if match := _ID.fullmatch(text):
        return match["impl"], match["model"], match["device"]
    problem = f"model_id {model_id!r:.80} is no id_<impl>_<model>_<device>" if model_id else "model_id is missing"
    raise SpecError(problem, where=str(path), hint="write one such as id_tt-transformers_Llama-3.1-70B-Instruct_t3k")


def _texts(data: Any, key: str, path: Path) -> dict[str, str]:
    """A mapping to text; numbers and flags are written as the original exports them."""
    found = data.get(key) or {}
    if not isinstance(found, dict) or any(isinstance(value, dict | list) or value is None for value in found.values()):
        raise SpecError(f"{key} must map names to text", where=str(path), hint='write "name": "value"')
    return {name: str(value) for name, value in found.items()}


def to_family(
    spec: ModelSpecification, *, repo: str = "", max_context: int | None = None, cell: Cell | None = None
) -> FamilySpec:
    """The specification as a native family; what it lacks comes from the arguments, then from `cell`."""
    repo = repo or spec.repo or (cell.weights.repo if cell else "")
    max_context = max_context or spec.max_context or (cell.entry.max_context if cell else None)
    absent = [option for option, value in (("--repo", repo), ("--max-context", max_context)) if not value]
    if absent:
        names = " and ".join(option.removeprefix("--") for option in absent)
        raise SpecError(
            f"states no {names}, and no cell of the catalogue is {spec.model_id}",
            where=str(spec.path),
            hint="pass " + " and ".join(absent),
        )
    native = {
        "schema_version": SCHEMA_VERSION,
        "family": spec.model,
        "architecture": dict(cell.architecture) if cell else {},
        "weights": [{"name": spec.model, "repo": repo}],
        "impls": [
            {
                "name": spec.impl,
                "status": spec.status,
                "commits": dict(spec.commits),
                "system_deps": dict(spec.system_deps),
                "python_deps": dict(spec.python_deps),
                "env_vars": dict(spec.env_vars),
                "image": spec.image,
                "devices": {spec.device: {"default": True, "max_context": max_context, "engine_args": dict(spec.engine_args)}},
            }
        ],
    }
    return validate(FamilySpec, YamlSource(spec.path, native, lambda: {(): (spec.path, 1)}))
