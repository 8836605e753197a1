"""What other programs may import: there, documented, and free until it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import hallmark

NAMES = [name for name in hallmark.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", NAMES)
def test_each_name_is_there_and_says_what_it_is(name: str) -> None:
    assert (inspect.getdoc(getattr(hallmark, name)) or "").strip(), "no docstring"


def test_nothing_else_is_public() -> None:
    assert set(hallmark._MODULES) | {"__version__"} == set(hallmark.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Utilities'"):
        _ = hallmark.Utilities


def test_importing_it_costs_nothing() -> None:
    code = "import sys, hallmark; print([m for m in sys.modules if m.startswith(('hallmark.', 'pydantic', 'httpx', 'pytest'))])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
