"""Huawei Ascend: NPUs as npu-smi names them, its driver, and CANN."""

from __future__ import annotations

import platform

from hallmark.environment.machine import Vendor, first, memory_table, table

# Two lines a chip, the card's number and name, the chip's bus and memory; chips of one card share its number.
CHIPS = (
    r"^\|\s*(?P<id>\d+)\s+(?:Ascend)?(?P<name>[\w.-]*\d[\w.-]*)\s*\|[^|\n]*\|[^|\n]*\|\s*\n"
    r"\|[^|\n]*\|\s*\w+:[\w:.]+\s*\|.*?/\s*(?P<memory>\d+)\s*\|\s*$"
)
USED = r"^\|[^|\n]*\|\s*\w+:[\w:.]+\s*\|.*?(?P<mib>\d+)\s*/\s*\d+\s*\|\s*$"
CANN = f"/usr/local/Ascend/ascend-toolkit/latest/{platform.machine()}-linux/ascend_toolkit_install.info"

VENDOR = Vendor(
    "ascend",
    sources={"npu-smi": table("npu-smi info", CHIPS, "Ascend ")},
    pci="19e5:",
    drivers={"ascend-driver": first(("npu-smi info", r"npu-smi \S+\s+Version:\s*(\S+)"))},
    versions={"cann": first((CANN, r"^version=(\S+)"))},
    variables=("ASCEND_", "HCCL_"),
    visible={"ASCEND_RT_VISIBLE_DEVICES": "{}"},  # in ascending order, says CANN
    used={"npu-smi": memory_table("npu-smi info", USED)},
)
