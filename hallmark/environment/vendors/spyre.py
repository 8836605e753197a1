"""IBM Spyre: cards as the PCI bus names them, by lspci or by the kernel's files."""

from __future__ import annotations

from hallmark.environment.machine import Vendor, table

VENDOR = Vendor(
    "spyre",
    # Revision ff is a card that does not answer.
    sources={"lspci": table("lspci -n -d 1014:", r"^(?P<id>\S+) \w{4}: (?P<name>1014:06a[78])(?! \(rev ff)", "IBM Spyre ")},
    pci="1014:06a[78]",
    pci_names={"1014:06a": "IBM Spyre"},
    variables=("AIU_", "FLEX_", "SENDNN_"),
)
