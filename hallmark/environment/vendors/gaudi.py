"""Intel Gaudi: cards as hl-smi names them, and the kernel's driver."""

from __future__ import annotations

from hallmark.environment.machine import Vendor, csv_table, first, table

VENDOR = Vendor(
    "gaudi",
    sources={"hl-smi": table("hl-smi -Q name,uuid,memory.total -f csv,noheader", csv_table(r"HL-\w+", r"\S+"))},
    pci="1da3:",
    pci_names={"1da3:10[01]": "Gaudi", "1da3:10[23]": "Gaudi 2", "1da3:106": "Gaudi 3"},
    drivers={"habanalabs": first(("/sys/module/habanalabs/version", r"\A(\S+)"))},
    variables=("HABANA_", "PT_HPU_"),
)
