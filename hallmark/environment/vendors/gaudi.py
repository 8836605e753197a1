"""Intel Gaudi: cards as hl-smi names them, and the kernel's driver."""

from __future__ import annotations

from hallmark.environment.machine import Vendor, csv_table, first, memory_table, table

VENDOR = Vendor(
    "gaudi",
    sources={"hl-smi": table("hl-smi -Q name,uuid,memory.total -f csv,noheader", csv_table(r"HL-\w+", r"\S+"))},
    pci="1da3:",
    pci_names={"1da3:10[01]": "Gaudi", "1da3:10[23]": "Gaudi 2", "1da3:106": "Gaudi 3"},
    drivers={"habanalabs": first(("/sys/module/habanalabs/version", r"\A(\S+)"))},
    variables=("HABANA_", "PT_HPU_"),
    # By module, which processes and the container runtime both obey; HABANA_VISIBLE_DEVICES is the runtime's alone.
    visible={"HABANA_VISIBLE_MODULES": "{}"},
    used={
        "hl-smi": memory_table("hl-smi -Q module_id,memory.used -f csv,noheader", r"^\s*(?P<number>\d+)\s*,\s*(?P<mib>\d+)\b.*$"),
    },
)
