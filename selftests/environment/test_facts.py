"""The collector: what it reads from good tools, and what it says of bad ones."""

from __future__ import annotations

import ast
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hallmark.core import redact
from hallmark.environment import facts as probe
from hallmark.environment.bundle import facts_program
from hallmark.environment.machine import gather
from hallmark.environment.vendors import vendor_named
from selftests.environment import fakes

BAD_TOOLS = {
    "hanging": ("sleep 60 & wait", "no answer in 0.5 s"),
    "garbage": (r"printf '\001a, b\377, c\n'; head -c 2000 /dev/urandom", "nvidia-smi: names no device: "),
    "failing": ("echo 'no driver is loaded' >&2; exit 9", "nvidia-smi: exit code 9: no driver is loaded"),
    "silent": ("exit 0", "nvidia-smi: names no device"),
    "endless": ("yes", "nvidia-smi: printed more than 4000000 bytes"),
}


@pytest.mark.parametrize("file", fakes.COLLECTOR_FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("minor", [8, 14])
def test_the_collector_is_valid_syntax_for_old_and_new_pythons(minor: int, file: Path) -> None:
    ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, minor))


@pytest.mark.parametrize("file", fakes.COLLECTOR_FILES, ids=lambda file: file.stem)
def test_the_collector_imports_the_standard_library_only(file: Path) -> None:
    """And, within its one text, what all vendors share."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names - {"hallmark.environment.machine"}} <= sys.stdlib_module_names


def test_it_runs_by_itself_and_prints_one_json_object(tmp_path: Path) -> None:
    env = {"PATH": str(tmp_path), "HF_TOKEN": "hf_should_never_show", "VLLM_CPU_KVCACHE_SPACE": "1", "HOME": "/nowhere"}
    (tmp_path / "facts.py").write_text(facts_program(), encoding="ascii")
    done = subprocess.run([sys.executable, "-I", "facts.py"], env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["python_version"] == ".".join(map(str, sys.version_info[:3]))
    assert answer["environment"] == {"HF_TOKEN": "[redacted]", "VLLM_CPU_KVCACHE_SPACE": "1"}
    assert "should_never_show" not in done.stdout
    assert answer["gcc_version"] == "Unknown"
    assert answer["reasons"]["gcc_version"] == "gcc: not on PATH"
    assert any(package.startswith("pytest==") for package in answer["installed_packages"])
    assert done.stderr == ""


def test_nvidia(root: Path, tools: Path) -> None:
    fakes.tool(tools, "nvidia-smi", fakes.NVIDIA_SMI)
    fakes.tool(tools, "nvcc", fakes.NVCC)
    fakes.tool(tools, "gcc", fakes.GCC)
    answer = fakes.collected(fakes.machine(root, tools))
    assert [chip["name"] for chip in answer["accelerators"]] == ["NVIDIA A100-SXM4-40GB"] * 2
    assert (answer["cuda_version"], answer["driver_version"], answer["gcc_version"]) == ("12.1", "535.104.05", "11.4.0")


def test_cuda_is_the_drivers_where_there_is_no_nvcc(root: Path, tools: Path) -> None:
    fakes.tool(tools, "nvidia-smi", fakes.NVIDIA_SMI)
    fakes.tool(tools, "nvcc", "exit 1")
    assert fakes.collected(fakes.machine(root, tools))["cuda_version"] == "12.2"


def test_without_its_tool_nvidia_is_read_from_the_drivers_files(root: Path) -> None:
    information = "/proc/driver/nvidia/gpus/0000:01:00.0/information"
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2026"
    fakes.files(root, {information: "Model: \t\t NVIDIA H100 PCIe\nIRQ: 5", "/proc/driver/nvidia/version": version})
    answer = fakes.collected(fakes.machine(root))
    assert [chip["name"] for chip in answer["accelerators"]] == ["NVIDIA H100 PCIe"]
    assert answer["driver_version"] == "550.54.14"


@pytest.mark.parametrize(
    ("name", "script", "model"), [("rocm-smi", fakes.ROCM_SMI, "MI300X"), ("amd-smi", fakes.AMD_SMI, "MI325X")]
)
def test_amd(root: Path, tools: Path, *, name: str, script: str, model: str) -> None:
    fakes.tool(tools, name, script)
    found, looked = vendor_named("amd").look(fakes.machine(root, tools))
    assert [chip["name"] for chip in found] == [f"AMD Instinct {model}"]
    assert f"{name}: AMD Instinct {model}" in looked


def test_tenstorrent_chips_of_one_board_share_its_id(root: Path, tools: Path) -> None:
    fakes.tool(tools, "tt-smi", fakes.tt_smi(4))
    fakes.files(root, {"/sys/module/tenstorrent/version": "1.33"})
    answer = fakes.collected(fakes.machine(root, tools))
    assert len(answer["accelerators"]) == 8
    assert len({chip["id"] for chip in answer["accelerators"]}) == 4
    assert answer["driver_version"] == "1.33"


@pytest.mark.parametrize("bad", BAD_TOOLS)
def test_a_bad_tool_costs_its_own_facts_only(root: Path, tools: Path, *, bad: str) -> None:
    script, why = BAD_TOOLS[bad]
    fakes.tool(tools, "nvidia-smi", script)
    fakes.tool(tools, "gcc", fakes.GCC)
    answer = fakes.collected(fakes.machine(root, tools, timeout_s=0.5 if bad == "hanging" else 5.0))
    assert answer["accelerators"] == []
    assert any(why in line for line in answer["looked"]["nvidia"])
    assert answer["driver_version"] == "Unknown"
    assert "nvidia-smi: " in answer["reasons"]["nvidia-driver"]
    if bad != "hanging":
        assert answer["gcc_version"] == "11.4.0"


@pytest.mark.parametrize("script", ["echo '{}'", "echo '[1]'", "echo hello", """echo '{"device_info": [{}]}'"""])
def test_an_unexpected_answer_of_tt_smi_is_a_line_not_a_crash(root: Path, tools: Path, *, script: str) -> None:
    fakes.tool(tools, "tt-smi", script)
    found, looked = vendor_named("tenstorrent").look(fakes.machine(root, tools))
    assert found == []
    assert looked[0].startswith("tt-smi: ")


def test_all_tools_hanging_take_no_longer_than_one(root: Path, tools: Path) -> None:
    for name in ("nvidia-smi", "nvcc", "gcc", "rocm-smi", "amd-smi", "tt-smi"):
        fakes.tool(tools, name, "exec sleep 60")
    started = time.monotonic()
    answer = fakes.collected(fakes.machine(root, tools, timeout_s=0.4))
    assert time.monotonic() - started < 2.4
    assert answer["gcc_version"] == "Unknown"
    assert answer["reasons"]["gcc_version"] == "gcc: no answer in 0.4 s"


def test_a_hanging_tool_is_killed_with_its_children(root: Path, tools: Path) -> None:
    # Who holds the writing end is seen from the reading end: it hangs up when the last of them is gone.
    os.mkfifo(tools / "alive")
    reader = os.open(tools / "alive", os.O_RDONLY | os.O_NONBLOCK)
    fakes.tool(tools, "gcc", f"exec 3> {tools}/alive; echo up >&3; sleep 60 & wait")
    fakes.collected(fakes.machine(root, tools, timeout_s=0.4))
    assert os.read(reader, 10) == b"up\n"
    watch = select.poll()
    watch.register(reader, 0)
    assert watch.poll(10_000), "a child of the tool lives on"
    os.close(reader)


def test_an_empty_machine_has_unknown_facts_and_a_reason_for_each(root: Path) -> None:
    answer = fakes.collected(fakes.machine(root))
    unknown = [name for name, value in answer.items() if value == "Unknown"]
    assert {"cuda_version", "gcc_version", "os", "memory_total", "cpu_model", "driver_version"} <= set(unknown)
    assert all(answer["reasons"][name] for name in unknown)


def test_files_are_read_below_the_root(root: Path) -> None:
    cpu = "processor : 0\nmodel name\t: Chip 9000\nflags\t\t: fpu sse avx2 avx512f avx512_bf16 amx_tile"
    release, memory = 'NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.3 LTS"', "MemTotal:       500000000 kB"
    fakes.files(root, {"/etc/os-release": release, "/proc/meminfo": memory, "/proc/cpuinfo": cpu})
    answer = fakes.collected(fakes.machine(root))
    assert (answer["os"], answer["memory_total"], answer["cpu_model"]) == ("Ubuntu 22.04.3 LTS", "512GB", "Chip 9000")
    assert answer["cpu_flags"] == ["amx_tile", "avx2", "avx512_bf16", "avx512f"]


@pytest.mark.parametrize(
    ("cpuinfo", "model", "flags"),
    [
        ("Features : asimd sve bf16\nFeatures : asimd bf16", "Unknown", ["asimd", "bf16"]),
        ("cpu\t\t: POWER10 (architected), altivec supported\ncpu : POWER10 (architected), altivec supported", "POWER10", []),
        ("vendor_id : IBM/S390\nfeatures\t: esan3 zarch vx vxe2 vxe", "Unknown", ["vx", "vxe"]),
        ("model name : big\nmodel name : little\nflags : avx2", "Unknown", ["avx2"]),
    ],
)
def test_other_processors_tell_what_all_their_cores_can(root: Path, cpuinfo: str, model: str, flags: list[str]) -> None:
    fakes.files(root, {"/proc/cpuinfo": cpuinfo})
    answer = fakes.collected(fakes.machine(root))
    assert answer["cpu_model"].startswith(model)
    assert answer["cpu_flags"] == flags
    assert (model == "Unknown") == ("cpu_model" in answer["reasons"])


def test_packages_of_pythonpath_count_and_shadow_the_others(root: Path, tmp_path: Path) -> None:
    for folder, version in (("first", "2.0"), ("second", "1.0")):
        fakes.files(tmp_path, {f"{folder}/Odd_Name-{version}.dist-info/METADATA": f"Name: Odd_Name\nVersion: {version}"})
    (tmp_path / "first/half_removed-1.0.dist-info").mkdir()
    path = os.pathsep.join(str(tmp_path / folder) for folder in ("first", "second"))
    packages = fakes.collected(fakes.machine(root, PYTHONPATH=path))["installed_packages"]
    assert [package for package in packages if package.startswith("Odd_Name")] == ["Odd_Name==2.0"]
    assert packages == sorted(packages, key=lambda package: package.partition("==")[0].lower().replace("_", "-"))


def test_a_probe_that_trips_is_a_reason(root: Path) -> None:
    values, reasons = gather({"odd": lambda _: {}["key"]}, fakes.machine(root))
    assert values == {}
    assert reasons["odd"].startswith("odd: unexpected answer (KeyError")


def test_secret_names_are_those_of_the_one_redactor() -> None:
    assert (probe.SECRET.pattern, probe.SECRET.flags) == (redact.SECRET_NAME.pattern, redact.SECRET_NAME.flags)
    assert redact.MASK == probe.MASK


def test_a_number_of_tokens_is_collected_and_a_token_is_not(root: Path) -> None:
    given = {"VLLM_MAX_NUM_BATCHED_TOKENS": "131072", "TOKENIZERS_PARALLELISM": "false", "HF_TOKEN": "canary"}
    shown = fakes.collected(fakes.machine(root, **given))["environment"]
    assert shown == {"VLLM_MAX_NUM_BATCHED_TOKENS": "131072", "TOKENIZERS_PARALLELISM": "false", "HF_TOKEN": "[redacted]"}


def test_the_path_and_foreign_variables_are_not_collected(root: Path) -> None:
    seen = fakes.collected(fakes.machine(root, HOME="/root", MY_HF_HOME="x", LD_LIBRARY_PATH="/lib", ARCH_NAME="wormhole_b0"))
    assert seen["environment"] == {"ARCH_NAME": "wormhole_b0", "LD_LIBRARY_PATH": "/lib"}
