"""The collector of facts as one text, which any interpreter runs: what all vendors share, their files, and `facts.py`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from hallmark.environment import bundle_loader, facts, machine
from hallmark.environment.vendors import VendorFile, loaded


def facts_program() -> str:
    """The text of a program that prints a machine's facts: `<the server's python> -I - [NAME...]` with it on stdin.

    As a file it does as well. It is ASCII and needs the standard library of Python 3.8 to 3.14 only. With the NAMEs of general
    facts it prints these alone, else all.
    """
    return _program(loaded())


@lru_cache(maxsize=8)
def _program(files: Sequence[VendorFile]) -> str:
    ours = {module.__name__: _text(module.__file__) for module in (machine, facts)}
    return f"{_text(bundle_loader.__file__)}\n\nrun({ours!a}, {[_plain(file, place) for place, file in enumerate(files)]!a})\n"


def _text(path: str | None) -> str:
    return Path(str(path)).read_text(encoding="utf-8")


def _plain(file: VendorFile, place: int) -> dict[str, Any]:
    vendor = file.vendor
    names = {"name": vendor.name, "drivers": list(vendor.drivers), "versions": list(vendor.versions)}
    return {"module": f"hallmark_vendor_{place}", "path": file.path.name, "text": file.text, **names}
