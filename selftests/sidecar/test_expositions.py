"""The expositions that other tests rest on: each is told apart as recorded or constructed, and none tells of its machine."""

from __future__ import annotations

import re

import pytest

from selftests.sidecar.reading import FOLDER, exposition, samples

NAMES = sorted(path.name for path in FOLDER.glob("*.txt"))
ROUTES = frozenset({"handler", "endpoint"})
"""Labels whose values are the engine's own routes."""


def test_each_is_said_to_be_recorded_or_constructed() -> None:
    rows = re.findall(r"^\| (\S+\.txt) \| \*\*(recorded|constructed)\*\*", (FOLDER / "README.md").read_text(), re.MULTILINE)
    assert sorted(name for name, _ in rows) == NAMES
    assert [name for name, how in rows if how == "constructed"] == ["openmetrics.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_no_label_names_a_folder_or_an_address(name: str) -> None:
    labels = {pair for _, pairs, *_ in samples(exposition(name).decode()) for pair in pairs if pair[0] not in ROUTES}
    assert labels
    assert not [pair for pair in labels if "/" in pair[1] or re.search(r"\d+\.\d+\.\d+\.\d+", pair[1])]
