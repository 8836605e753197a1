"""The wheel and the example plugin, built once and installed once."""

from __future__ import annotations

from pathlib import Path

import pytest

from selftests.plugin.stand_in_spec import DEVICE, MODEL, ROOT, eval_target, family, perf_point, write_spec, write_task
from selftests.product.installed import Installed, make

ACME_SMI = """#!/bin/sh
case "$1" in
  list) printf '0 X1\\n1 X1\\n' ;;
  version) printf 'driver 2.4.1\\nfirmware 7.0\\n' ;;
  links) printf '100 %s\\n' "${ACME_SECOND_LINK:-100}" ;;
esac
"""
ACME_RUN = '#!/bin/sh\necho "acme-run reserves the boards"\nexec "$@"\n'


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment to build wheels with."""
    return make(tmp_path_factory.mktemp("builder") / "venv")


@pytest.fixture(scope="session")
def wheel(builder: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return builder.wheel_of(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with the wheel and what it requires, and nothing else."""
    made = make(tmp_path_factory.mktemp("environment") / "venv")
    made.install(wheel)
    return made


@pytest.fixture(scope="session")
def with_vendor(builder: Installed, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An environment with the example plugin besides, on a machine that has two of its boards: its tools are scripts."""
    folder = tmp_path_factory.mktemp("vendor")
    made = make(folder / "venv")
    made.install(wheel, builder.wheel_of(ROOT / "examples" / "vendor_plugin", folder))
    for name, script in (("acme-smi", ACME_SMI), ("acme-run", ACME_RUN)):
        (made.folder / "bin" / name).write_text(script)
        (made.folder / "bin" / name).chmod(0o755)
    return made


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """An empty folder of a user, with a spec of a stand-in for selftests as the server."""
    write_task(tmp_path / "tasks", items=60)
    spec_of_stand_in(tmp_path)
    return tmp_path


def spec_of_stand_in(folder: Path, *, device: str = DEVICE, **more: object) -> Path:
    data = family(environment={"PYTHONPATH": str(ROOT)}, evals=[eval_target()], perf=[perf_point()], device=device, **more)  # type: ignore[arg-type]
    return write_spec(folder / "specs", data)


def options(*more: str, device: str = DEVICE, server_python: str) -> list[str]:
    return ["pytest", f"--model={MODEL}", f"--device={device}", "--spec-dir=specs", f"--server-python={server_python}", *more]
