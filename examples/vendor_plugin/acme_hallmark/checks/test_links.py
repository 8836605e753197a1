"""The links between Acme boards."""

from __future__ import annotations

import subprocess

import pytest


@pytest.mark.check(
    "acme.links",
    title="Each link between the boards runs at full speed",
    needs="vendor:acme",
    source="Acme's manual of the X1, section 3",
    fault="a link that trained at half speed",
)
def test_links(cell, check):
    said = subprocess.run(["acme-smi", "links"], capture_output=True, text=True, check=True).stdout
    for number, speed in enumerate(said.split()):
        check.at_least(f"link {number}", float(speed), 100, unit="Gbit/s")
