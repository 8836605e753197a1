"""Every vendor's accelerators and versions, from what its tools print (see recorded/README.md) and from what they do wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.environment.devices import detect
from hallmark.environment.system_names import detection_names
from hallmark.environment.vendors import vendor_named
from selftests.environment import fakes

RECORDED = Path(__file__).with_name("recorded")
SEEN = {
    "npu-smi-910c.txt": ("ascend", "npu-smi", ["Ascend 910 (0) 65536", "Ascend 910 (0) 65536"]),
    "npu-smi-910b4.txt": ("ascend", "npu-smi", ["Ascend 910B4-1 (0) 65536", "Ascend 910B4-1 (1) 65536"]),
    "rocm-smi-mi250x.json": ("amd", "rocm-smi", ["AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2 (card0) "]),
    "amd-smi-rx7800xt.txt": ("amd", "amd-smi", ["AMD Radeon RX 7800 XT (gpu0) "]),
    "amd-smi-mi350x.json": ("amd", "amd-smi", ["AMD Instinct MI350X OAM (gpu0) ", "AMD Instinct MI350X (gpu1) "]),
    "tt-smi-n300.json": ("tenstorrent", "tt-smi", ["n300 L (100014511703057) ", "n300 R (100014511703057) "]),
    "tt-smi-galaxy.json": ("tenstorrent", "tt-smi", ["tt-galaxy-wh (10003511172101a) "]),
    "hl-smi-gaudi2.txt": (
        "gaudi",
        "hl-smi",
        [f"HL-225 (01P0-HL2080A0-15-TNBS61-{tail}) 98304 MiB" for tail in ("03-07-04", "05-06-03")],
    ),
    "lspci-spyre.txt": ("spyre", "lspci", ["IBM Spyre 1014:06a7 (0009:01:00.0) ", "IBM Spyre 1014:06a8 (000b:01:00.0) "]),
    "nvidia-smi-h100.txt": (
        "nvidia",
        "nvidia-smi",
        ["NVIDIA H100 80GB HBM3 (GPU-8f639255-9bdd-d28c-78be-e05a47c7049e) 81559 MiB"],
    ),
}
TOOLS = sorted({tool for _, tool, _ in SEEN.values()})


def printing(tools: Path, name: str, recorded: str) -> None:
    fakes.tool(tools, name, f"cat '{RECORDED / recorded}'")


def test_the_readme_tells_of_each_recording() -> None:
    told = (RECORDED / "README.md").read_text(encoding="utf-8")
    files = {path.name for path in RECORDED.iterdir()} - {"README.md"}
    assert files == set(SEEN)
    assert [name for name in files if f"`{name}`" not in told] == []


@pytest.mark.parametrize("name", SEEN)
def test_a_recorded_answer_is_understood(root: Path, tools: Path, name: str) -> None:
    vendor, tool, expected = SEEN[name]
    printing(tools, tool, name)
    found, looked = vendor_named(vendor).look(fakes.machine(root, tools))
    assert [f"{chip['name']} ({chip['id']}) {chip['memory']}" for chip in found] == expected
    assert {chip["source"] for chip in found} == {tool}
    assert any(line.startswith(f"{tool}: ") for line in looked)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exec sleep 60", "no answer in 0.2 s"),
        (r"printf '\001\377|0 a|\n'; head -c 3000 /dev/urandom; echo", ""),
        ("echo 'no such device' >&2; exit 6", "exit code 6: no such device"),
        ("exit 0", ""),
        ("echo '[]'", ""),
        ("echo null", ""),
    ],
)
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_does_wrong_finds_nothing_and_is_told_of(root: Path, tools: Path, tool: str, script: str, why: str) -> None:
    fakes.tool(tools, tool, script)
    vendor = next(vendor for vendor, name, _ in SEEN.values() if name == tool)
    patience = 0.2 if "sleep" in script else 5.0
    found, looked = vendor_named(vendor).look(fakes.machine(root, tools, timeout_s=patience))
    assert found == []
    (line,) = [line for line in looked if line.startswith(f"{tool}: ")]
    assert why in line
    assert len(line) < 250


def test_a_tool_that_leaves_a_child_with_its_pipe_is_not_waited_for(root: Path, tools: Path) -> None:
    fakes.tool(tools, "hl-smi", "(sleep 60; true) & exit 0")
    _, looked = vendor_named("gaudi").look(fakes.machine(root, tools, timeout_s=0.2))
    assert looked[0] == "hl-smi: no answer in 0.2 s"


@pytest.mark.parametrize(
    ("tool", "recorded", "expected"),
    [
        ("tt-smi", "tt-smi-n300.json", {"tt-firmware": "80.18.0.0", "tt-kmd": "1.34", "tt-smi": "3.0.39"}),
        ("tt-smi", "tt-smi-galaxy.json", {"tt-firmware": "80.16.0.0", "tt-kmd": "1.31", "tt-smi": "3.0.12"}),
        ("npu-smi", "npu-smi-910c.txt", {"ascend-driver": "26.0.rc2"}),
        ("npu-smi", "npu-smi-910b4.txt", {"ascend-driver": "25.2.0"}),
    ],
)
def test_versions_that_a_tool_states(root: Path, tools: Path, tool: str, recorded: str, expected: dict[str, str]) -> None:
    printing(tools, tool, recorded)
    versions = fakes.collected(fakes.machine(root, tools))["versions"]
    assert {name: versions[name] for name in expected} == expected


def test_boards_that_differ_in_their_firmware_have_none(root: Path, tools: Path) -> None:
    text = (RECORDED / "tt-smi-n300.json").read_text(encoding="utf-8").replace("80.18.0.0", "80.10.1.0", 1)
    fakes.tool(tools, "tt-smi", f"cat <<'END'\n{text}\nEND")
    answer = fakes.collected(fakes.machine(root, tools))
    assert answer["versions"]["tt-firmware"] == "Unknown"
    assert "several differ: 80.10.1.0, 80.18.0.0" in answer["reasons"]["tt-firmware"]


FILES = {
    "rocm": ("/opt/rocm/.info/version", "6.4.0-47", "6.4.0"),
    "tt-kmd": ("/sys/module/tenstorrent/version", "2.0.0", "2.0.0"),
    "amdgpu": ("/sys/module/amdgpu/version", "6.10.5", "6.10.5"),
    "habanalabs": ("/sys/module/habanalabs/version", "1.21.0-e4eeb9d", "1.21.0-e4eeb9d"),
}


@pytest.mark.parametrize("name", FILES)
def test_versions_that_a_file_states(root: Path, name: str) -> None:
    path, text, expected = FILES[name]
    fakes.files(root, {path: text})
    assert fakes.collected(fakes.machine(root))["versions"][name] == expected


def test_docker_is_its_engine_and_a_client_alone_is_none(root: Path, tools: Path) -> None:
    fakes.tool(tools, "docker", '[ "$1 $2 $3" = "version --format {{.Server.Version}}" ] && echo 28.2.2')
    assert fakes.collected(fakes.machine(root, tools))["versions"]["docker"] == "28.2.2"
    fakes.tool(tools, "docker", "echo; echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    answer = fakes.collected(fakes.machine(root, tools))
    assert answer["versions"]["docker"] == "Unknown"
    assert "Cannot connect" in answer["reasons"]["docker"]


def test_a_tool_is_asked_once_however_many_facts_it_gives(root: Path, tools: Path) -> None:
    fakes.tool(tools, "tt-smi", f"echo asked >> {tools}/asked; cat '{RECORDED}/tt-smi-n300.json'")
    fakes.collected(fakes.machine(root, tools))
    assert (tools / "asked").read_text(encoding="utf-8") == "asked\n"


@pytest.mark.parametrize(
    ("vendor", "ids", "name"),
    [
        ("gaudi", "1da3:1020", "Gaudi 2 1da3:1020"),
        ("gaudi", "1da3:1060", "Gaudi 3 1da3:1060"),
        ("spyre", "1014:06a7", "IBM Spyre 1014:06a7"),
        ("ascend", "19e5:d802", "PCI device 19e5:d802"),
    ],
)
def test_without_tools_the_bus_is_asked(root: Path, vendor: str, ids: str, name: str) -> None:
    fakes.pci(root, "0000:01:00.0", ids)
    fakes.pci(root, "0000:02:00.0", "1014:03dc", kind="0x060400")
    found, _ = vendor_named(vendor).look(fakes.machine(root))
    assert [chip["name"] for chip in found] == [name]


@pytest.mark.parametrize(
    ("recorded", "board", "count", "present"),
    [
        ("npu-smi-910b4.txt", "910b4-1", 2, True),
        ("npu-smi-910b4.txt", "910b4-1", 3, False),
        ("npu-smi-910b4.txt", "910b", 1, False),
        ("npu-smi-910c.txt", "910", 1, True),
        ("npu-smi-910c.txt", "910", 2, False),
        ("hl-smi-gaudi2.txt", "hl-225", 2, True),
        ("hl-smi-gaudi2.txt", "hl-325l", 1, False),
        ("lspci-spyre.txt", "spyre", 2, True),
        ("lspci-spyre.txt", "spyre", 3, False),
        ("tt-smi-n300.json", "n300", 1, True),
        ("tt-smi-n300.json", "n300", 2, False),
        ("amd-smi-mi350x.json", "mi350x", 2, True),
        ("nvidia-smi-h100.txt", "h100", 1, True),
        ("nvidia-smi-h100.txt", "h200", 1, False),
    ],
)
def test_a_device_is_there_or_not(root: Path, tools: Path, recorded: str, board: str, count: int, present: bool) -> None:
    vendor, tool, _ = SEEN[recorded]
    printing(tools, tool, recorded)
    presence = detect(fakes.device(vendor, board, count), fakes.machine(root, tools))
    assert presence.present is present
    assert presence.found != "none"


USED = {
    "nvidia-smi": ("nvidia", "echo '0, 12'; echo '3, 70211'", {0: 12, 3: 70211}),
    "hl-smi": ("gaudi", "echo '5, 768 MiB'; echo '2, 97012 MiB'", {2: 97012, 5: 768}),
    "amd-smi": (
        "amd",
        """echo '{"gpu_data": [{"gpu": 1, "mem_usage": {"used_vram": {"value": 283, "unit": "MB"}}}]}'""",
        {1: 283},
    ),
    "rocm-smi": ("amd", """echo '{"card0": {"VRAM Total Used Memory (B)": "296747008"}}'""", {0: 283}),
    "npu-smi": ("ascend", f"cat '{RECORDED}/npu-smi-910c.txt'", {0: 3419, 1: 2874}),
}
"""Tool -> its vendor, what it is made to print, and the MiB in use. Only npu-smi's is a recording."""


@pytest.mark.parametrize("name", USED)
def test_the_memory_in_use_is_told_by_the_numbers_of_boards(root: Path, tools: Path, name: str) -> None:
    vendor, script, expected = USED[name]
    fakes.tool(tools, name, script)
    used, reasons = vendor_named(vendor).memory_used(fakes.machine(root, tools))
    assert used == expected
    assert (reasons == []) == (vendor != "amd"), "the other tool of AMD is not there, which is told"


@pytest.mark.parametrize(
    ("script", "why"), [("exit 9", "nvidia-smi: exit code 9"), ("echo off", "nvidia-smi: tells no memory in use")]
)
def test_a_tool_that_tells_no_memory_says_why(root: Path, tools: Path, script: str, why: str) -> None:
    fakes.tool(tools, "nvidia-smi", script)
    used, (reason,) = vendor_named("nvidia").memory_used(fakes.machine(root, tools))
    assert used == {}
    assert reason.startswith(why)


def test_every_vendor_that_can_be_looked_for_is_one_of_the_catalogue() -> None:
    assert set(detection_names()) == {"cpu", "tenstorrent", "nvidia", "amd", "ascend", "gaudi", "spyre"}
