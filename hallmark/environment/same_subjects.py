"""Is what is measured now the very thing that was measured before? By the documents that two starts of a run wrote. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hallmark.core.redact import is_secret_name

_PLAIN: Mapping[str, str] = {
    "python_version": "the server's Python",
    "gpu_models": "what accelerates it",
    "cuda_version": "its CUDA",
    "driver_version": "the driver",
    "memory_limit": "the memory that the server may use",
    "gcc_version": "the machine's gcc",
    "kernel": "the machine's kernel",
    "glibc": "the machine's glibc",
}
"""What of runtime_environment.json is one value, and what it is called in a sentence."""
_GROUPS: Mapping[str, str] = {
    "system_info": "the machine's {}",
    "cpu": "the processor's {}",
    "versions": "the version of {}",
    "environment": "the server's variable {}",
}
"""What is several values by name. What was looked at on the way to them, and where, may differ."""

Identity = Mapping[str, str]
"""What something is called in a sentence -> what it is."""


def identity(environment: Mapping[str, Any], plan: Mapping[str, Any]) -> Identity:
    """What identifies the server of a run and its machine, by runtime_environment.json and launch_plan.json; without ports, paths
    and times, which differ from start to start, and without what the running server said.
    """
    return dict(sorted({**dict(_of_environment(environment)), **dict(_of_plan(plan))}.items()))


def _of_environment(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, name in _PLAIN.items():
        if key in document:
            yield name, _text(document[key])
    for key, name in _GROUPS.items():
        for one, value in _group(document.get(key)).items():
            yield name.format(one), _text(value)
    for package in _listed(document.get("installed_packages")):
        name, _, version = str(package).partition("==")
        yield f"the server's {name}", version
    for place, accelerator in enumerate(_listed(document.get("accelerators")), 1):
        shown = _group(accelerator)
        yield f"accelerator {place}", " ".join(str(shown.get(key, "")) for key in ("vendor", "name", "id", "memory"))
    for build in map(_group, _listed(document.get("builds"))):
        names = ", ".join(map(str, _listed(build.get("names"))))
        yield f"the commit of {names}", " ".join(map(_text, (build.get("commit", ""), build.get("changed", []))))
    if found := _group(document.get("device_presence")).get("found"):
        yield "the device", _text(found)


def _of_plan(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "served_model" in document:
        yield "the served model", _text(document["served_model"])
    for row in map(_group, _listed(document.get("values"))):
        if not is_secret_name(str(row.get("name", ""))):  # some are drawn anew for each start
            yield f"the server's {row.get('name')}", _text(row.get("value"))


def _group(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def differences(before: Identity, now: Identity) -> Iterator[str]:
    """Each thing that is not as it was, in a sentence."""
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} is {_shown(now.get(name))}, it was {_shown(before.get(name))}"


def _shown(value: str | None) -> str:
    if value is None:
        return "not there"
    return value if len(value) <= 80 else f"{value[:77]}..."


def first_difference(before: Any, now: Any, name: str = "") -> str:
    """The first place where two documents differ, in a sentence; empty where they are the same."""
    if isinstance(before, dict) and isinstance(now, dict):
        inner = (first_difference(before.get(key), now.get(key), _joined(name, key)) for key in (*before, *(now.keys() - before)))
        return next(filter(None, inner), "")
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = zip(before, now, strict=True)
        return next(filter(None, (first_difference(*pair, f"{name}[{place}]") for place, pair in enumerate(pairs))), "")
    return "" if before == now else f"{name} is {_shown(_told(now))}, it was {_shown(_told(before))}"


def _joined(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _told(value: Any) -> str | None:
    if isinstance(value, list):
        return f"{len(value)} entries"
    return None if value is None else _text(value)


def digest_of(compared: Any) -> str:
    """SHA-256, hexadecimal, of plain JSON data in one spelling."""
    return hashlib.sha256(json.dumps(compared, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")).hexdigest()
