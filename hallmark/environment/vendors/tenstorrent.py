"""Tenstorrent: boards as tt-smi or the driver names them, the driver, and the firmware's bundle."""

from __future__ import annotations

from hallmark.environment.machine import Machine, Vendor, accelerator, first, tool_json

FOLDER = "/sys/class/tenstorrent"
NODES = "/dev/tenstorrent"


def tt_smi(machine: Machine) -> list[dict[str, str]]:
    """Each chip. The two of one n300 carry the same board_id: that is how boards are counted."""
    boards = [chip["board_info"] for chip in tool_json(machine, "tt-smi", "-s")["device_info"]]
    return [accelerator(board["board_type"], str(board["board_id"])) for board in boards]


def driver_files(machine: Machine) -> list[dict[str, str]]:
    """Each board that the driver names, by its serial number."""
    cards = {node: machine.read(f"{FOLDER}/{node}/tt_card_type") for node in machine.entries(FOLDER)}
    serials = {node: machine.read(f"{FOLDER}/{node}/tt_serial") for node in cards}
    return [accelerator(card, serials[node]) for node, card in cards.items()]


def nodes(machine: Machine) -> list[dict[str, str]]:
    """Each device node: that something is there, of a type that nobody can name."""
    numbers = [name for name in machine.entries(NODES) if name.isdigit()]
    return [accelerator("board of unknown type", f"node {number}") for number in numbers]


VENDOR = Vendor(
    "tenstorrent",
    sources={"tt-smi": tt_smi, FOLDER: driver_files, NODES: nodes},
    pci="1e52:",
    drivers={
        "tt-kmd": first(("/sys/module/tenstorrent/version", r"\A(\S+)"), ("tt-smi -s", r'"Driver":\s*"\D*(\d+\.\d[\w.]*)"'))
    },
    versions={
        # Some boards state their bundle under the name of the tool that wrote it.
        "tt-firmware": first(
            ("tt-smi -s", r'"fw_bundle_version":\s*"(?:N/A",\s*"tt_flash_version":\s*")?(\d[\w.]*)"'),
        ),
        "tt-smi": first(("tt-smi -s", r'"tt_smi":\s*"(\d[\w.]*)"')),
    },
    variables=("TT_", "WH_ARCH", "MESH_", "ARCH_NAME"),
    visible={"TT_VISIBLE_DEVICES": "{}"},  # the nodes of the driver: one for each board, also for the two chips of an n300
    numbers={"p300": 2},
    revision="[a-d]?",  # p150a, p150b and p150c are all a p150 (but an A10G is no A10)
)
