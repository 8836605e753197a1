"""What a container tells of itself: its own Python's metadata, the labels of its image, and the weights that it holds."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hallmark.core.errors import LaunchError
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.findings import State
from hallmark.environment.requirements import check
from hallmark.serving.docker.launcher import DockerLauncher
from hallmark.serving.docker.site import DockerSite
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.site import TestbedSettings
from hallmark.specs.model import Weights
from selftests.environment import fakes
from selftests.serving.containers import BASE, ROOT, require_engine

pytestmark = [pytest.mark.docker, pytest.mark.e2e]
IMAGE = "hallmark-selftest-labelled"
BLOB = "b" * 64
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


def site_of(folder: Path, image: str, **commits: str) -> DockerSite:
    settings = TestbedSettings(server="docker", launch=LaunchSettings(), environments=folder, image=image)
    cell: Any = fakes.cell(commits=commits)
    return DockerSite(replace(cell, spec_file=folder / "tiny.yaml"), settings, folder=folder, environ={}, log=lambda _: None)


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


def test_weights_are_read_in_the_very_container_that_serves(tmp_path: Path, image: str) -> None:
    """What the server has fetched into a layer of its own is in no volume, and in no other container."""
    (tmp_path / "weights").mkdir()
    site = site_of(tmp_path, image)
    site.cell = replace(site.cell, weights=Weights(name="Tiny", repo="someone/model"))
    plan = replace(site.plan(), device="")
    snapshot = "/root/.cache/huggingface/hub/models--someone--model"
    lines = [
        f"mkdir -p {snapshot}/refs {snapshot}/snapshots/abc",
        f"echo abc > {snapshot}/refs/main",
        f"mkdir {snapshot}/blobs && echo weights > {snapshot}/blobs/{BLOB}",
        f"ln -s ../../blobs/{BLOB} {snapshot}/snapshots/abc/model.safetensors",
        f"""echo '{{"num_hidden_layers": 7}}' > {snapshot}/snapshots/abc/config.json""",
        "exec python3 /repo/selftests/faulty/server.py --host 0.0.0.0 --port 8000 --model Tiny",
    ]
    assert plan.container
    container = replace(plan.container, binds=(f"{ROOT}/selftests:/repo/selftests:ro",), entrypoint=("sh", "-c"))
    server = DockerLauncher().start(replace(plan, argv=("; ".join(lines),), container=container), lambda _: None)
    try:
        files = site.weights_files(plan)
        weights = site.weights_manifest(plan, DigestCache(None))
    finally:
        server.stop()
    assert files.config == {"num_hidden_layers": 7}
    assert [one["name"] for one in weights.resources] == ["config.json", "model.safetensors"]
    assert weights.resources[1]["digest"] == hashlib.sha256(b"weights\n").hexdigest()
    assert [told.partition(" has ")[0] for told in weights.corrupt] == ["model.safetensors"], "its name is another digest"
    assert not site.weights_need_no_server
    with pytest.raises(LaunchError, match="no container of this run serves it"):
        site.weights_files(plan)
