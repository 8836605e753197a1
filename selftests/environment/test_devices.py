"""A device is there when it was seen, and never because nobody could tell."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from hallmark.environment.collect import here
from hallmark.environment.devices import detect
from hallmark.specs.model import Detection
from selftests.environment import fakes

T3K = fakes.device("tenstorrent", "n300", 4)


def test_t3k_is_absent_from_a_machine_without_it(root: Path) -> None:
    fakes.pci(root, "0000:00:01.0", "8086:1237", kind="0x060000")
    presence = detect(T3K, fakes.machine(root))
    assert not presence.present
    assert presence.found == "none"
    assert presence.looked == (
        "tt-smi: not on PATH",
        "/sys/class/tenstorrent: No such file or directory",
        "/dev/tenstorrent: No such file or directory",
        "PCI vendor 0x1e52: none of 1 devices",
    )


def test_t3k_is_found_by_its_tool(root: Path, tools: Path) -> None:
    fakes.tool(tools, "tt-smi", fakes.tt_smi(4))
    presence = detect(T3K, fakes.machine(root, tools))
    assert presence.present
    assert presence.found == "4 x n300 L, 4 x n300 R"


@pytest.mark.parametrize("boards", [1, 3])
def test_too_few_boards_are_not_a_t3k_however_many_chips(root: Path, tools: Path, *, boards: int) -> None:
    fakes.tool(tools, "tt-smi", fakes.tt_smi(boards))
    assert not detect(T3K, fakes.machine(root, tools)).present


def test_t3k_is_found_by_its_driver_when_the_tool_hangs(root: Path, tools: Path) -> None:
    fakes.tool(tools, "tt-smi", "exec sleep 60")
    for card in range(4):
        base = f"/sys/class/tenstorrent/tenstorrent!{card}"
        fakes.files(root, {f"{base}/tt_card_type": "n300", f"{base}/tt_serial": f"010001{card}"})
    presence = detect(T3K, fakes.machine(root, tools, timeout_s=0.4))
    assert presence.present
    assert "tt-smi: no answer in 0.4 s" in presence.looked


def test_boards_that_nobody_can_name_do_not_count(root: Path) -> None:
    for card in range(4):
        fakes.files(root, {f"/dev/tenstorrent/{card}": ""})
        fakes.pci(root, f"0000:0{card}:00.0", "1e52:401e")
    presence = detect(T3K, fakes.machine(root))
    assert not presence.present
    assert presence.found == "4 x board of unknown type"
    assert "PCI: 4 x PCI device 1e52:401e" in presence.looked


@pytest.mark.parametrize(
    ("board", "count", "present"), [("a100", 1, True), ("a100", 2, True), ("a100", 3, False), ("a10", 1, False)]
)
def test_nvidia_boards_are_counted_and_matched_by_whole_words(
    root: Path, tools: Path, *, board: str, count: int, present: bool
) -> None:
    fakes.tool(tools, "nvidia-smi", fakes.NVIDIA_SMI)
    assert detect(fakes.device("nvidia", board, count), fakes.machine(root, tools)).present is present


@pytest.mark.parametrize(
    ("stated", "board", "present"),
    [
        ("p150a", "p150", True),
        ("p150", "p150", True),
        ("p300c", "p300", True),
        ("n150 L", "n150", True),
        ("p150a", "p150b", False),
        ("p1500", "p150", False),
        ("tt-galaxy-wh", "tt-galaxy-bh", False),
    ],
)
def test_a_revision_of_a_board_is_that_board(root: Path, *, stated: str, board: str, present: bool) -> None:
    base = "/sys/class/tenstorrent/tenstorrent!0"
    fakes.files(root, {f"{base}/tt_card_type": stated, f"{base}/tt_serial": "1"})
    assert detect(fakes.device("tenstorrent", board), fakes.machine(root)).present is present


def test_another_makers_letter_is_another_board(root: Path, tools: Path) -> None:
    fakes.tool(tools, "nvidia-smi", 'echo "NVIDIA A10G, GPU-1, 23028 MiB"')
    assert not detect(fakes.device("nvidia", "a10"), fakes.machine(root, tools)).present
    assert detect(fakes.device("nvidia", "a10g"), fakes.machine(root, tools)).present


def test_amd(root: Path, tools: Path) -> None:
    fakes.tool(tools, "rocm-smi", fakes.ROCM_SMI)
    assert detect(fakes.device("amd", "mi300x"), fakes.machine(root, tools)).present


def test_a_cpu_is_always_there_and_says_which(root: Path) -> None:
    fakes.files(root, {"/proc/cpuinfo": "model name : Chip 9000\nflags : avx2"})
    presence = detect(fakes.device("cpu"), fakes.machine(root))
    assert presence.present
    assert presence.found.startswith("Chip 9000 ")
    assert not detect(fakes.device("cpu", "other"), fakes.machine(root)).present


def test_collected_facts_answer_as_the_machine_does(root: Path, tools: Path) -> None:
    fakes.tool(tools, "tt-smi", fakes.tt_smi(4))
    fakes.files(root, {"/proc/cpuinfo": "model name : Chip 9000\nflags : avx2"})
    machine = fakes.machine(root, tools)
    for spec in (T3K, fakes.device("cpu"), fakes.device("nvidia", "h100")):
        assert detect(spec, here(machine)) == detect(spec, machine)


def test_looking_on_this_machine_takes_seconds_at_most() -> None:
    started = time.monotonic()
    assert detect(T3K).looked
    assert time.monotonic() - started < 5


def test_every_way_of_the_catalogue_has_a_detector(root: Path) -> None:
    ways = Detection.model_json_schema()["properties"]["how"]["enum"]
    assert all(detect(fakes.device(how), fakes.machine(root)).looked for how in ways)
