"""What an environment was resolved to: all that an index can give again, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hallmark.environment.locks import read_lock, write_lock

EDITABLE = {"by uv": '{"url":"file:///src/mine","dir_info":{"editable":true}}', "by pip": '{"dir_info": {"editable": true}}'}
"""pip and uv write the same with other blanks."""


def installed(folder: Path, name: str, origin: str = "") -> None:
    information = folder / f"{name}-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    if origin:
        (information / "direct_url.json").write_text(origin, encoding="utf-8")


@pytest.mark.parametrize("origin", EDITABLE.values(), ids=EDITABLE)
def test_a_checkout_is_left_out_whoever_installed_it(tmp_path: Path, origin: str) -> None:
    """No index has it, so that whoever builds from the lock would not find it there."""
    packages = tmp_path / "packages"
    packages.mkdir()
    installed(packages, "tiny")
    installed(packages, "copied", '{"url":"file:///src/copied","dir_info":{}}')
    installed(packages, "mine", origin)
    python = tmp_path / "python"
    start = f"import sys; sys.path[:] = [{str(packages)!r}, *(p for p in sys.path if 'site-packages' not in p)]"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -c "{start}\n$3"\n', encoding="utf-8")
    python.chmod(0o755)
    write_lock(tmp_path / "lock.txt", python)
    assert read_lock(tmp_path / "lock.txt") == ("copied==1.0", "tiny==1.0")
