"""What the container can compute with, and the dtype that follows from it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Flags of CPUs that multiply bfloat16 themselves (x86, x86 tiles, ARM)."""
GPU_BFLOAT16 = 8.0
"""The compute capability from which NVIDIA's GPUs do (Ampere)."""
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")


@dataclass(frozen=True)
class Hardware:
    """GPUs as `nvidia-smi` names them, none for a CPU."""

    gpus: tuple[str, ...]
    bfloat16: bool
    because: str
    """What `bfloat16` was concluded from."""


def run_tool(command: Sequence[str]) -> str:
    """A tool's output; empty when it is not there, fails or hangs."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def look(flavor: str, *, run: Callable[[Sequence[str]], str] = run_tool, cpuinfo: Path = Path("/proc/cpuinfo")) -> Hardware:
    """The hardware that an image of `flavor` ("cuda" or "cpu") would use."""
    if flavor == "cpu":
        flags = set(re.findall(r"\w+", _first_flags(cpuinfo)))
        found = sorted(flags & CPU_BFLOAT16)
        return Hardware((), bool(found), f"the CPU has {', '.join(found)}" if found else "the CPU has no bfloat16 instructions")
    rows = re.findall(r"^(.+?), *(\d+\.\d+)\s*$", run(_NVIDIA_SMI), re.MULTILINE)
    least = min((float(capability) for _, capability in rows), default=0.0)
    return Hardware(tuple(name for name, _ in rows), least >= GPU_BFLOAT16, f"compute capability {least:g}")


def _first_flags(cpuinfo: Path) -> str:
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else ""


def choose_dtype(asked: str, hardware: Hardware) -> tuple[str, str]:
    """The dtype and why: as asked, else bfloat16 where the hardware has it, else float16."""
    if asked not in ("", "auto"):
        return asked, "as asked"
    return ("bfloat16" if hardware.bfloat16 else "float16"), hardware.because
