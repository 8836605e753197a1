"""Acme boards as acme-smi names them. Runs under the server's interpreter, too: standard library and hallmark's machine.py."""

from __future__ import annotations

from hallmark.environment.machine import Vendor, first, table

VENDOR = Vendor(
    "acme",
    sources={"acme-smi": table("acme-smi list", r"^(?P<id>\d+) (?P<name>[\w -]+)$", "Acme ")},
    pci="acce:",
    drivers={"acme-driver": first(("acme-smi version", r"^driver (\S+)$"))},
    versions={"acme-firmware": first(("acme-smi version", r"^firmware (\S+)$"))},
    variables=("ACME_",),
)
