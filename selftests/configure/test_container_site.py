"""What a container tells of itself: its own Python's metadata, and the labels of its image."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.configure.plan import LaunchSettings
from hallmark.configure.sites import ContainerSite, TestbedSettings
from hallmark.environment.findings import State
from hallmark.environment.requirements import check
from selftests.environment import fakes
from selftests.serving.containers import BASE, require_engine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]
IMAGE = "hallmark-selftest-labelled"
COMMIT = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """The base image with a vLLM of metadata alone, and a label for what has none."""
    engine = require_engine()
    info = "/site/vllm-0.11.0+g7654321.dist-info"
    lines = [
        f"FROM {BASE}",
        f"RUN mkdir -p {info} && printf 'Name: vllm\\nVersion: 0.11.0+g7654321\\n' > {info}/METADATA",
        "ENV PYTHONPATH=/site",
        f"LABEL hallmark.commit.tt_metal={COMMIT}",
    ]
    built, _ = engine.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), tag=IMAGE, rm=True, forcerm=True)
    yield IMAGE
    engine.images.remove(built.id, force=True)
    engine.close()


def site_of(folder: Path, image: str, **commits: str) -> ContainerSite:
    settings = TestbedSettings(server="docker", launch=LaunchSettings(), environments=folder, image=image)
    cell: Any = fakes.cell(commits=commits)
    return ContainerSite(replace(cell, spec_file=folder / "tiny.yaml"), settings, folder=folder, environ={}, log=lambda _: None)


@pytest.mark.parametrize(
    ("pins", "states"),
    [
        ({"vllm": "7654321", "tt_metal": COMMIT[:7]}, [State.SATISFIED, State.SATISFIED]),
        (
            {"vllm": "deadbeef", "tt_metal": "deadbeef", "other": "deadbeef"},
            [State.CONFLICTING, State.CONFLICTING, State.UNKNOWN],
        ),
    ],
)
def test_pinned_commits_are_read_inside_and_from_labels(
    tmp_path: Path, image: str, pins: dict[str, str], states: list[State]
) -> None:
    (tmp_path / "weights").mkdir()
    site = site_of(tmp_path, image, **pins)
    plan = site.plan()
    facts = replace(site.facts(plan), builds=site.builds(plan))
    held = [finding for finding in check(site.cell, facts, site.environment(plan)) if finding.kind == "commit"]
    assert [finding.state for finding in held] == states, held
