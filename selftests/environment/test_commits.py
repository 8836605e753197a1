"""A pinned commit is held against every place that tells one; what cannot be read is never taken for it."""

from __future__ import annotations

from typing import Any

import pytest

from hallmark.environment.commits import Build, hold, of_labels
from hallmark.environment.findings import State

FULL = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"
YES, NO, OPEN = State.SATISFIED, State.CONFLICTING, State.UNKNOWN


def build(commit: str = "Unknown", *, name: str = "vllm", source: str = "its version", **more: Any) -> Build:
    return Build(names=(name,), version="0.11", commit=commit, source=source, **more)


# The case -> (what is pinned, what was read, the state, a part of the reason).
HELD: dict[str, tuple[str, list[Build], State, str]] = {
    "the same": (FULL, [build(FULL)], YES, "(vllm 0.11: its version)"),
    "pinned short": ("1a2b3c4", [build(FULL)], YES, FULL),
    "read short": (FULL, [build("1a2b3c4")], YES, "1a2b3c4"),
    "in capitals": ("1A2B3C4", [build(FULL)], YES, FULL),
    "another": ("deadbeef", [build(FULL)], NO, f"it is {FULL} (vllm 0.11: its version), not deadbeef"),
    "another, short": ("1a2b3c5", [build("1a2b3c4")], NO, "not 1a2b3c5"),
    "not told": ("deadbeef", [build(source="not in its version")], OPEN, "vllm 0.11: not in its version - to make it readable"),
    "nowhere": ("deadbeef", [], OPEN, "nothing here has that name - to make it readable: install it from its checkout"),
    "of something else": (FULL, [build(FULL, name="other")], OPEN, "nothing here has that name"),
    "told once of two": (FULL, [build(), build(FULL)], YES, FULL),
    "two that differ": (FULL, [build(FULL), build("7654321", source="git in /x")], NO, "it is 7654321 (vllm 0.11: git in /x)"),
    "with changes": (FULL, [build(FULL, changed=("a.py", "b.py"))], NO, "with changes: a.py, b.py (its version)"),
    "with changes elsewhere": (FULL, [build(FULL), build(FULL, changed=("a.py",))], NO, "with changes: a.py"),
    "perhaps with changes": (FULL, [build(FULL, doubt="git: no answer in 20 s")], OPEN, "no answer in 20 s"),
    "a tag": ("v0.62.0-rc33", [build(FULL, tags=("v0.62.0-rc33",))], YES, "(v0.62.0-rc33)"),
    "a tag among several": ("v2", [build(FULL, tags=("v1", "v2"))], YES, "v2"),
    "another tag": ("v0.62.0-rc33", [build(FULL, tags=("v0.62.0-rc34",))], NO, "(v0.62.0-rc34)"),
    "no tags there": ("v0.62.0-rc33", [build(FULL)], OPEN, "pin the commit, fetch the checkout's tags"),
    "a tag, and its commit elsewhere": ("v1", [build(FULL, tags=("v1",)), build("1a2b3c4")], YES, FULL),
    "a tag, and another commit elsewhere": ("v1", [build(FULL, tags=("v1",)), build("7654321")], NO, "it is 7654321"),
    "a commit, where a tag alone is told": (FULL, [build(tags=("v1",))], OPEN, "v1"),
}


@pytest.mark.parametrize("case", HELD)
def test_a_pinned_commit_is_held(case: str) -> None:
    pinned, read, state, reason = HELD[case]
    found = hold("vllm", pinned, read)
    assert found[0] is state, found
    assert reason in found[2]


def test_spelling_and_the_distribution_of_another_name_do_not_matter() -> None:
    """ttnn is built from tt-metal."""
    for name in ("tt_metal", "TT-Metal"):
        for answering in ("tt-metal", "ttnn"):
            assert hold(name, FULL, [build(FULL, name=answering)])[0] is YES
    assert hold("tt_metal", FULL, [build(FULL, name="tt-metal-models")])[0] is OPEN


def test_the_labels_of_an_image_tell() -> None:
    revision = {"org.opencontainers.image.revision": FULL}
    source = {"org.opencontainers.image.source": "https://github.com/vllm-project/vllm.git"}
    (told,) = of_labels({**revision, **source, "maintainer": "x"})
    assert (told.names, told.commit, told.source) == (("vllm",), FULL, "the image's label org.opencontainers.image.revision")
    assert of_labels(revision) == (), "of what it is the revision, nothing says: a base's label is inherited"
    own = {"hallmark.commit.tt_metal": "E867533", "hallmark.commit.vllm": "v1.2"}
    metal, vllm = of_labels({**own, **revision, **source})
    assert (metal.names, metal.commit) == (("tt-metal",), "e867533")
    assert (vllm.names, vllm.commit, vllm.tags) == (("vllm",), "Unknown", ("v1.2",)), "the nearer word wins"
    assert hold("tt_metal", "e867533", [metal])[0] is YES
    assert hold("tt_metal", "deadbeef", [metal])[0] is NO
