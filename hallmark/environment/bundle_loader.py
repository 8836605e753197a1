"""The first part of the collector's text: makes modules of the texts that follow, and runs them. `bundle.py` adds these.

Standard library only, Python 3.8 to 3.14. Whatever hallmark may be installed for the interpreter, it is not used.
"""

from __future__ import annotations

import sys
import types
from typing import Any, Mapping, Sequence  # noqa: UP035 (Python 3.8 subscripts no collections.abc)

MACHINE = "hallmark.environment.machine"
FACTS = "hallmark.environment.facts"


def run(ours: Mapping[str, str], vendor_files: Sequence[Mapping[str, Any]]) -> None:
    """Print the facts that the command line names, or all: from the texts of `ours`, by module, and of each vendor's file."""
    for package in ("hallmark", "hallmark.environment"):
        load(package, "", package).__path__ = []
    machine = load(MACHINE, ours[MACHINE], "machine.py")
    load(FACTS, ours[FACTS], "facts.py").main(sys.argv[1:], lambda: [vendor_of(file, machine) for file in vendor_files])


def load(name: str, text: str, file: str) -> Any:
    """The module that `text` makes; what goes wrong in it names `file`."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)
    exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 - what else this file is for
    return module


def vendor_of(file: Mapping[str, Any], machine: Any) -> Any:
    """A file's VENDOR; where it does not run under this interpreter, one that says so wherever it is asked."""
    try:
        return load(file["module"], file["text"], file["path"]).VENDOR
    except (Exception, SystemExit) as exc:
        why = f"{file['path']}: {type(exc).__name__}: {exc}"

    def unavailable(_: Any) -> Any:
        raise machine.Unavailable(why)

    asked = {key: dict.fromkeys(file[key], unavailable) for key in ("drivers", "versions")}
    return machine.Vendor(file["name"], sources={"its file": unavailable}, **asked)
