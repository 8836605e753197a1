"""The accelerator vendors that are known: which files tell of them, loaded and checked.

A vendor's file is loaded from its path, whoever wrote it, because it must also run where neither hallmark nor its own
distribution is installed. `machine.py` says what stands in one.
"""

from __future__ import annotations

import ast
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from hallmark.core.errors import UsageError
from hallmark.core.extensions import extensions
from hallmark.environment import machine
from hallmark.environment.facts import OWN_KEYS, PROBES, SERVICES
from hallmark.environment.machine import Vendor

CPU = "cpu"
"""How the device that every machine has is found: by no vendor."""
VERSION_FACTS = {
    "cuda": "cuda_version",
    "driver": "driver_version",
    "gcc": "gcc_version",
    "python": "python_version",
    "glibc": "glibc",
    "kernel": "kernel",
}
"""Names of `system_deps` that are a fact of their own, and its attribute; the others stand in the facts' `versions`."""
OLDEST_PYTHON = (3, 8)


@dataclass(frozen=True, slots=True)
class VendorFile:
    """One vendor's file as it was loaded: `text` is what the server's interpreter is given."""

    path: Path
    text: str
    vendor: Vendor


def vendor_files() -> tuple[Path, ...]:
    """The files of all vendors; where several have a driver on one machine, the first is what `driver` of a spec means."""
    files: tuple[Path, ...] = extensions().answers("devices")
    return files


def loaded() -> tuple[VendorFile, ...]:
    """Every vendor's file; UsageError that names the first one that cannot be used, and says why."""
    return _loaded(vendor_files())


def vendors() -> tuple[Vendor, ...]:
    """Every vendor, in the order of `vendor_files`; UsageError as `loaded`."""
    return tuple(file.vendor for file in loaded())


def vendor_named(name: str) -> Vendor:
    """The vendor of that name; UsageError where there is none (any more)."""
    for vendor in vendors():
        if vendor.name == name:
            return vendor
    raise UsageError(f"no vendor '{name}' is known", where="devices", hint="install the distribution that brings it")


@lru_cache(maxsize=8)
def _loaded(paths: Sequence[Path]) -> tuple[VendorFile, ...]:
    files: list[VendorFile] = []
    for path in paths:
        file = _load(path)
        if taken := next(_taken(file.vendor, files), ""):
            raise _unusable(path, taken)
        files.append(file)
    return tuple(files)


def _load(path: Path) -> VendorFile:
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, str(path), feature_version=OLDEST_PYTHON)
    except (OSError, ValueError, SyntaxError) as exc:
        line = f"line {exc.lineno}: " if isinstance(exc, SyntaxError) else ""
        why = (exc.strerror if isinstance(exc, OSError) else exc.msg if isinstance(exc, SyntaxError) else "") or str(exc)
        raise _unusable(path, line + why) from exc
    for line_number, name in _imports(tree):
        if name != machine.__name__ and name.partition(".")[0] not in sys.stdlib_module_names:
            raise _unusable(path, f"line {line_number}: imports {name}, which a server's interpreter need not have")
    vendor = getattr(_run(path, text), "VENDOR", None)
    if not isinstance(vendor, Vendor):
        raise _unusable(path, f"its VENDOR is {'missing' if vendor is None else f'no Vendor but {vendor!r:.40}'}")
    return VendorFile(path, text, vendor)


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, module) of what is imported on loading; what a probe imports when it runs is its own risk."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def _run(path: Path, text: str) -> ModuleType:
    module = ModuleType(f"hallmark_vendor_{path.stem}_{zlib.crc32(str(path).encode()):08x}")
    # It has no __file__: where the server's interpreter runs it, there is none, and nothing beside it.
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    try:
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - it is a file of an installed distribution
    except (Exception, SystemExit) as exc:
        del sys.modules[module.__name__]
        raise _unusable(path, f"{type(exc).__name__}: {exc}") from exc
    return module


def _taken(vendor: Vendor, files: Sequence[VendorFile]) -> Iterator[str]:
    """What of a vendor is taken already, by hallmark itself or by the vendors before it."""
    if vendor.name == CPU:
        yield f"the name '{CPU}' is taken by hallmark itself"
    yield from (f"the name '{vendor.name}' is taken by {file.path}" for file in files if file.vendor.name == vendor.name)
    for name in (*vendor.drivers, *vendor.versions):
        if name in {*PROBES, *SERVICES, *VERSION_FACTS} - {*OWN_KEYS}:
            yield f"the version name '{name}' is taken by hallmark itself"
        yield from (
            f"the version name '{name}' is taken by {file.path}"
            for file in files
            if name in file.vendor.drivers or name in file.vendor.versions
        )


def _unusable(path: Path, why: str) -> UsageError:
    return UsageError(f"this vendor file cannot be used: {why}", where=str(path), hint="correct it, or uninstall what brings it")
