"""A ModelSpec (`model_specification_*.json`) as a native family, and by name whatever of it that cannot hold.

Most such documents state only a part of what a spec needs. The rest is that of the cell of the catalogue which has the same
id; where there is none, the repository and the context must be stated. Nothing is made up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.errors import SpecError
from hallmark.core.redact import pruned, was_masked
from hallmark.specs.cell import Cell
from hallmark.specs.dump import to_plain
from hallmark.specs.family import Family
from hallmark.specs.json_source import read
from hallmark.specs.loader import family_of
from hallmark.specs.model import SCHEMA_VERSION, DeviceSpec
from hallmark.specs.model_spec import FAMILY, ModelSpec, document, family_data
from hallmark.specs.yaml_source import KeyPath, Lines, YamlSource

_ID = re.compile(r"id_(?P<impl>[^_]+)_(?P<model>.+)_(?P<device>[^_]+)")
_STATUS = {"functional": "functional", "complete": "complete", "top_perf": "top_perf", "experimental": "functional"}
_COMMITS = {"tt_metal_commit": "tt_metal", "vllm_commit": "vllm"}
_ORIGINALS = ("hf_model_repo", "docker_image", "status", *_COMMITS, "device_model_spec")
"""What the original states of a cell; beside a whole `family_spec` nothing follows from it."""
_NAMED_BY_ID = frozenset({"impl_id", "impl_name"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a document may lack, as the caller says it."""

    repo: str = ""
    max_context: int | None = None


@dataclass(frozen=True, slots=True)
class Native:
    """The data of a spec file, with the lines of the document that it was made of."""

    source: YamlSource
    left: tuple[str, ...]
    """What of the document could not be carried over."""


def native(
    spec: ModelSpec,
    source: YamlSource,
    *,
    devices: Mapping[str, DeviceSpec],
    base: Cell | None = None,
    completion: Completion | None = None,
) -> Native:
    """The spec that the document `source` was read to, as native data.

    `devices` and `base`, the cell of the same id, are the catalogue's.
    """
    if spec.family_spec:
        whole, masked = pruned(to_plain(spec.family_spec), was_masked)
        left = [*_other_device(spec, devices), *(name for name in _ORIGINALS if getattr(spec, name)), *_extra(spec, "")]
        return Native(YamlSource(source.path, whole, source.part((FAMILY,)).find_lines), (*left, *named_secrets(masked)))
    names = (base.impl.name, base.model, base.device) if base else _parts(spec.model_id, source, devices)
    made = _Build(spec, names, base, completion or Completion())
    made.require_whole(source)
    whole, masked = pruned(made.data, was_masked)
    return Native(YamlSource(source.path, whole, lambda: _lines(source, names[2])), (*made.left, *named_secrets(masked)))


def document_family(path: Path, devices: Mapping[str, DeviceSpec], cells: Mapping[str, Cell]) -> Family:
    """A document that lies in a spec folder as a family of its own; what it does not state is of the cell of the same id."""
    source = document(read(path))
    spec = ModelSpec.from_source(source)
    found = native(spec, source, devices=devices, base=cells.get(spec.model_id))
    own = {"family": spec.model_id, "replaces": spec.replaces}
    made = YamlSource(path, found.source.data | own, found.source.find_lines)
    return Family(family_of(made), made, found.left)


def _other_device(spec: ModelSpec, devices: Mapping[str, DeviceSpec]) -> Iterator[str]:
    """The device of the document, where it is not the catalogue's of that name: what is run is what the catalogue says."""
    (device,) = spec.family_spec.impls[0].devices if spec.family_spec else ("",)
    if spec.device_spec and devices.get(device) != spec.device_spec:
        yield f"device_spec ({'the catalogue says otherwise' if device in devices else 'the catalogue has none'} of {device})"


def _parts(model_id: str, source: YamlSource, devices: Iterable[str]) -> tuple[str, str, str]:
    """(implementation, model, device) of an id such as id_tt-transformers_Llama-3.1-70B-Instruct_t3k."""
    longest_first = sorted(devices, key=len, reverse=True)
    if known := next((device for device in longest_first if model_id.endswith(f"_{device}")), ""):
        match = re.fullmatch(r"id_([^_]+)_(.+)", model_id.removesuffix(f"_{known}"))
        if match:
            return match[1], match[2], known
    if match := _ID.fullmatch(model_id):
        return match["impl"], match["model"], match["device"]
    hint = "write one such as id_tt-transformers_Llama-3.1-70B-Instruct_t3k"
    raise SpecError(f"model_id '{model_id}' is no id_<impl>_<model>_<device>", where=source.where(("model_id",)), hint=hint)


class _Build:
    """Native data in the making: that of the base, and over it whatever the document states."""

    def __init__(self, spec: ModelSpec, names: tuple[str, str, str], base: Cell | None, completion: Completion) -> None:
        impl, model, device = names
        self._spec, self._model = spec, model
        self.data: dict[str, Any] = (
            family_data(base) | {"family": model}
            if base
            else {
                "schema_version": SCHEMA_VERSION,
                "family": model,
                "weights": [{"name": model}],
                "impls": [{"name": impl, "status": "functional", "devices": {device: {"default": True}}}],
            }
        )
        self.left: list[str] = []
        self._impl: dict[str, Any] = self.data["impls"][0]
        self._entry: dict[str, Any] = self._impl["devices"][device]
        self._put_environment()
        self._put_weights(completion.repo or spec.hf_model_repo or "")
        self._put_claims()
        self._put_serving(completion.max_context)
        self.left += _unknown(spec, names)

    def require_whole(self, source: YamlSource) -> None:
        """SpecError that names each key which must be stated, and the option that says it to `convert`."""
        weights = self.data["weights"][0]
        absent = [] if weights.get("repo") or weights.get("path") else [("hf_model_repo", "--repo")]
        absent += [] if self._entry.get("max_context") else [("device_model_spec.max_context", "--max-context")]
        if absent:
            keys, options = (" and ".join(names) for names in zip(*absent, strict=True))
            raise SpecError(
                f"states no {keys}, and no cell of the catalogue is {self._spec.model_id}",
                where=source.where(("model_id",)),
                hint=f"add {keys}, or pass {options} to `specs convert`",
            )

    def _state(self, key: str, value: Any, nothing: Any) -> None:
        """For the implementation, and not otherwise for its device."""
        self._impl[key] = value
        if key in self._entry:
            self._entry[key] = nothing

    def _put_environment(self) -> None:
        spec = self._spec
        for key in ("system_deps", "python_deps", "env_vars"):
            if (stated := getattr(spec, key)) is not None:
                self._state(key, dict(stated), {})
        if spec.device_model_spec and spec.device_model_spec.env_vars:
            self._entry["env_vars"] = dict(spec.device_model_spec.env_vars)

    def _put_weights(self, repo: str) -> None:
        weights = self.data["weights"][0]
        if repo and repo != weights.get("repo"):
            self.data["weights"][0] = {"name": self._model, "repo": repo}

    def _put_claims(self) -> None:
        spec = self._spec
        if spec.docker_image:
            self._state("image", spec.docker_image, "")
        stated = {name: getattr(spec, key) for key, name in _COMMITS.items() if getattr(spec, key)}
        if stated:
            self._state("commits", stated, {})
        if spec.status:
            status = spec.status.rpartition(".")[2].lower()
            self._state("status", _STATUS.get(status, "functional"), None)
            if self._impl["status"] != status:
                self.left.append(f"status {spec.status} (there is none such: functional)")

    def _put_serving(self, max_context: int | None) -> None:
        of_device = self._spec.device_model_spec
        stated = of_device.vllm_args if of_device else None
        if stated is not None:
            taken = {name.replace("-", "_"): _argument(value) for name, value in stated.items()}
            self._entry["engine_args"] = {name: value for name, value in taken.items() if value is not None}
            self.left += [f"device_model_spec.vllm_args.{name}" for name, value in stated.items() if _argument(value) is None]
        length = self._entry.get("engine_args", {}).get("max_model_len")
        context = max_context or (of_device.max_context if of_device else None)
        if context is None and stated is not None and isinstance(length, int) and not isinstance(length, bool):
            context = length
        if context is not None:
            self._entry["max_context"] = context
            if length is not None and stated is None:
                self._entry["engine_args"]["max_model_len"] = context


def _argument(value: Any) -> Any:
    """An engine argument as specs hold it: an object is written as the JSON that vLLM takes; None for what has no such form."""
    if isinstance(value, dict):
        return json.dumps(value)
    return None if isinstance(value, list) else value


def _unknown(spec: ModelSpec, names: tuple[str, str, str]) -> Iterator[str]:
    """The keys of the document that no spec has a place for, but those that only repeat its id."""
    impl, model, device = names
    extra = dict(spec.model_extra or {})
    if extra.get("model_name") == model:
        del extra["model_name"]
    if str(extra.get("device_type")).rpartition(".")[2].lower() == device:
        del extra["device_type"]
    if isinstance(of_impl := extra.get("impl"), dict):
        del extra["impl"]
        yield from (f"impl.{key}" for key, value in of_impl.items() if key not in _NAMED_BY_ID and not _empty(value))
    elif of_impl == impl:
        del extra["impl"]
    yield from (key for key, value in extra.items() if not _empty(value))
    if spec.device_model_spec:
        yield from _extra(spec.device_model_spec, "device_model_spec.")


def _extra(part: Any, above: str) -> Iterator[str]:
    yield from (above + key for key, value in (part.model_extra or {}).items() if not _empty(value))


def _empty(value: object) -> bool:
    return value in (None, "") or (isinstance(value, dict | list) and not value)


def named_secrets(places: Iterable[str]) -> Iterator[str]:
    """The places of secrets, as what is left of a document tells them."""
    yield from (f"{place} (a secret: set it in the environment)" for place in places)


def _lines(source: YamlSource, device: str) -> Lines:
    """Where in the document each part of the native data stands."""
    entry: KeyPath = ("impls", 0, "devices", device)
    renamed: Mapping[KeyPath, KeyPath] = {
        **{("impls", 0, key): (key,) for key in ("system_deps", "python_deps", "env_vars", "status")},
        ("impls", 0, "image"): ("docker_image",),
        ("weights", 0, "repo"): ("hf_model_repo",),
        (*entry, "env_vars"): ("device_model_spec", "env_vars"),
        (*entry, "engine_args"): ("device_model_spec", "vllm_args"),
        (*entry, "max_context"): ("device_model_spec", "max_context"),
    }
    whole = source.mark(("model_id",))
    found: Lines = {new[:depth]: whole for new in renamed for depth in range(len(new))}
    for new, old in renamed.items():
        found |= {new + place[len(old) :]: mark for place, mark in source.lines.items() if place[: len(old)] == old}
    return found
