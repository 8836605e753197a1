"""What a process has open: its weights, and libraries that are not of the environment that was certified."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hallmark.environment.process_files import OpenFiles, open_files

_HOLDER = """
import mmap, sys
opened = open(sys.argv[1], "rb")
with open(sys.argv[2], "rb") as library:
    mapped = mmap.mmap(library.fileno(), 0, prot=mmap.PROT_READ)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"tensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "other" / "lib" / "python3.11" / "site-packages" / "torch" / "_C.cpython-311-x86_64-linux-gnu.so"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\x7fELF")
    return file


@pytest.fixture
def seen(weights: Path, library: Path) -> Iterator[OpenFiles]:
    argv = [sys.executable, "-I", "-c", _HOLDER, str(weights), str(library)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"ready\n"
        yield open_files({holder.pid})
        holder.stdin.close()


def test_what_is_open_and_what_is_mapped_is_seen(seen: OpenFiles, weights: Path, library: Path) -> None:
    assert seen.among({weights, weights.with_name("other.safetensors")}) == 1
    assert str(library) in seen.libraries


def test_a_library_of_another_environment_is_named(seen: OpenFiles, library: Path, tmp_path: Path) -> None:
    assert seen.elsewhere([str(tmp_path / "venv" / "lib")]) == [str(library)]
    assert seen.elsewhere([str(library.parents[2])]) == [str(library)]
    assert seen.elsewhere([str(library.parents[1])]) == []


def test_a_link_to_the_environment_is_no_other_one(seen: OpenFiles, library: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(library.parents[1])
    assert seen.elsewhere([str(tmp_path / "link")]) == []


def test_of_a_process_that_is_gone_nothing_is_seen() -> None:
    assert open_files({2**22 + os.getpid()}) == OpenFiles()


@pytest.mark.parametrize(
    ("words", "looked_at"), [(("-m", "hallmark_services.gateway"), 0), (("-m", "held", "hallmark_services.gateway"), 1)]
)
def test_a_service_of_hallmarks_own_runs_in_an_environment_of_its_own(
    tmp_path: Path, words: tuple[str, ...], looked_at: int
) -> None:
    """As the gateway of its image does, before the engine; whoever only names it is looked at."""
    (tmp_path / "hallmark_services").mkdir()
    (tmp_path / "hallmark_services" / "__init__.py").touch()
    for name in ("hallmark_services/gateway.py", "held.py"):
        (tmp_path / name).write_text("import sys; print('ready', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, *words], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        assert service.stdin is not None
        assert service.stdout.readline() == b"ready\n"
        assert open_files({service.pid}).processes == looked_at
        service.stdin.close()
