"""The dtype follows from the hardware: tools and files recorded, never the machine of the test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hallmark_engine.hardware import choose_dtype, look, run_tool

A100, T4 = "NVIDIA A100-SXM4-40GB, 8.0\n", "Tesla T4, 7.5\n"


def gpus(answer: str) -> tuple[tuple[str, ...], str]:
    def run(_: Sequence[str]) -> str:
        return answer

    hardware = look("cuda", run=run)
    return hardware.gpus, choose_dtype("", hardware)[0]


def test_a_gpu_with_bfloat16_gets_it() -> None:
    assert gpus(A100) == (("NVIDIA A100-SXM4-40GB",), "bfloat16")


def test_the_least_of_several_decides() -> None:
    assert gpus(A100 + T4) == (("NVIDIA A100-SXM4-40GB", "Tesla T4"), "float16")


@pytest.mark.parametrize("answer", ["", "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n"])
def test_no_gpu_is_none(answer: str) -> None:
    assert gpus(answer)[0] == ()


@pytest.mark.parametrize(
    ("line", "dtype"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", "bfloat16"),
        ("Features\t: fp asimd bf16 i8mm", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f", "float16"),
        ("flags\t\t: fpu not_avx512_bf16", "float16"),
        ("", "float16"),
    ],
)
def test_a_cpu_says_by_its_flags(tmp_path: Path, line: str, dtype: str) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n", encoding="utf-8")
    hardware = look("cpu", cpuinfo=tmp_path / "cpuinfo")
    assert choose_dtype("", hardware)[0] == choose_dtype("auto", hardware)[0] == dtype


def test_what_was_asked_for_holds(tmp_path: Path) -> None:
    hardware = look("cpu", cpuinfo=tmp_path / "none")
    assert choose_dtype("float32", hardware) == ("float32", "as asked")


def test_a_tool_that_is_not_there_says_nothing() -> None:
    assert run_tool(["no-such-tool"]) == run_tool(["false"]) == ""
