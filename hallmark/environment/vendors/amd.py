"""AMD: GPUs as amd-smi or rocm-smi names them, the kernel's driver, and ROCm."""

from __future__ import annotations

from hallmark.environment.machine import Machine, Vendor, accelerator, first, tool_json


def amd_smi(machine: Machine) -> list[dict[str, str]]:
    """Each GPU by its number."""
    answer = tool_json(machine, "amd-smi", "static", "--asic", "--board", "--json")
    rows = answer.get("gpu_data", []) if isinstance(answer, dict) else answer
    # Some drivers give a family as market_name; the board's product name is the precise one where there is one.
    products = [(row, str(row.get("board", {}).get("product_name") or "N/A")) for row in rows]
    names = [(row["gpu"], str(row["asic"]["market_name"]) if product == "N/A" else product) for row, product in products]
    return [accelerator(name, f"gpu{number}") for number, name in names]


def rocm_smi(machine: Machine) -> list[dict[str, str]]:
    """Each card; the keys of its answer are written with other capitals from release to release."""
    cards = tool_json(machine, "rocm-smi", "--showproductname", "--json")
    series = {card: {key.lower(): value for key, value in row.items()} for card, row in cards.items() if card.startswith("card")}
    return [accelerator(str(row["card series"]), card) for card, row in series.items()]


def amd_smi_used(machine: Machine) -> dict[int, float]:
    """MiB of each GPU's memory in use."""
    answer = tool_json(machine, "amd-smi", "metric", "--mem-usage", "--json")
    rows = answer.get("gpu_data", []) if isinstance(answer, dict) else answer
    return {int(row["gpu"]): float(row["mem_usage"]["used_vram"]["value"]) for row in rows}


def rocm_smi_used(machine: Machine) -> dict[int, float]:
    """MiB of each card's memory in use."""
    cards = tool_json(machine, "rocm-smi", "--showmeminfo", "vram", "--json")
    used = {card: {key.lower(): value for key, value in row.items()} for card, row in cards.items() if card.startswith("card")}
    return {int(card[4:]): float(row["vram total used memory (b)"]) / 2**20 for card, row in used.items()}


VENDOR = Vendor(
    "amd",
    sources={"amd-smi": amd_smi, "rocm-smi": rocm_smi},
    pci="1002:",
    drivers={"amdgpu": first(("/sys/module/amdgpu/version", r"\A(\S+)"))},
    versions={
        "rocm": first(("/opt/rocm/.info/version", r"\A(\d+\.\d+(?:\.\d+)?)"), ("amd-smi version", r"ROCm version:\s*(\d[\d.]*)")),
    },
    variables=("HIP_", "ROCR_", "ROCM_"),
    tool_folders=("/opt/rocm/bin",),
    visible={"ROCR_VISIBLE_DEVICES": "{}"},  # what AMD advises on Linux; HIP_VISIBLE_DEVICES would count within it once more
    used={"amd-smi": amd_smi_used, "rocm-smi": rocm_smi_used},
)
