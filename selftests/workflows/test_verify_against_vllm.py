"""`hallmark verify --against URL` on a real vLLM: the one that was measured is known again, other arguments and weights are told.

Its interpreter is $HALLMARK_SERVER_PYTHON.
"""

from __future__ import annotations

import json
import os
import shutil
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hallmark.client.fingerprints import take_fingerprint
from hallmark.client.offers import Offers
from hallmark.client.wire import WireClient
from hallmark.core.files import write_json
from hallmark.core.subjects import Subjects, subject, write_subjects
from hallmark.environment.digest_cache import DigestCache
from hallmark.environment.weights_manifest import manifest_of
from hallmark.evals.fingerprints import keep_fingerprint
from hallmark.serving.argument_differences import engine_flags
from hallmark.workflows.verify.against import Agreement, held_against
from selftests.gateway.real_engine import MODEL, WEIGHTS, Vllm

pytestmark = [pytest.mark.server, pytest.mark.long]


@contextmanager
def served(folder: Path, weights: Path = WEIGHTS) -> Iterator[Vllm]:
    folder.mkdir(exist_ok=True)
    vllm = Vllm(folder, os.environ["HALLMARK_SERVER_PYTHON"], weights=weights)
    try:
        vllm.require_healthy()
        yield vllm
    finally:
        vllm.process.stop()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """What a run leaves that measured this engine, as far as that is asked for here; and where the engine is."""
    folder = tmp_path_factory.mktemp("run")
    with served(tmp_path_factory.mktemp("vllm")) as vllm, WireClient(vllm.url, MODEL) as client:
        told = {"version": client.get("/version").json(), "models": client.get("/v1/models").json()}
        keep_fingerprint(folder / "evals", take_fingerprint(client, Offers(client), None, context=0))
        values = [{"name": name, "value": value, "origin": "spec"} for name, value in engine_flags(vllm.argv).items()]
        write_json(folder / "launch_plan.json", {"served_model": MODEL, "values": values})
        write_json(folder / "runtime_environment.json", {"served": told})
        detail = manifest_of(WEIGHTS, DigestCache(None)).detail()
        write_subjects(folder, Subjects(subjects=(subject("weights", MODEL, detail, taken_from="spec", told=""),)))
        yield folder, vllm.url


def agreements(folder: Path, url: str, weights: Path | None = None) -> dict[str, Agreement]:
    return {one.what: one.agreement for one in held_against(folder, url, weights)}


def test_the_engine_that_was_measured_is_known_again(there: tuple[Path, str]) -> None:
    found = agreements(*there, WEIGHTS)
    wanted = ("engine version", "model", "context length", "arguments", "numerics", "weights")
    assert {what: found.get(what) for what in wanted} == dict.fromkeys(wanted, Agreement.SAME)


def test_another_argument_is_told(there: tuple[Path, str], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(there[0], tmp_path / "run"))
    plan = (folder / "launch_plan.json").read_text(encoding="utf-8")
    (folder / "launch_plan.json").write_text(plan.replace('"value": "64"', '"value": "32"'), encoding="utf-8")
    found = {one.what: one for one in held_against(folder, there[1], None)}
    assert found["arguments"].agreement is Agreement.STALE
    assert found["arguments"].told == "max_num_seqs is 64 there, 32 was measured"
    assert found["numerics"].agreement is Agreement.SAME


def test_other_weights_under_the_same_name_are_told(there: tuple[Path, str], tmp_path: Path) -> None:
    """By their numbers alone, and by their files."""
    other = Path(shutil.copytree(WEIGHTS, tmp_path / "weights"))
    scaled(other / "model.safetensors", "model.layers.1.mlp.down_proj.weight")
    with served(tmp_path / "vllm", other) as vllm:
        found = agreements(there[0], vllm.url, other)
    assert (found["numerics"], found["weights"]) == (Agreement.STALE, Agreement.STALE)
    assert found["model"] is Agreement.SAME


def scaled(path: Path, name: str) -> None:
    """A tensor of bfloat16 made larger by a power of two: its exponents are one higher."""
    content = bytearray(path.read_bytes())
    begins = 8 + int.from_bytes(content[:8], "little")
    tensor = json.loads(content[8:begins])[name]
    assert tensor["dtype"] == "BF16"
    first, last = (begins + offset for offset in tensor["data_offsets"])
    numbers = array("H", bytes(content[first:last]))
    content[first:last] = array("H", (number + 0x80 if number & 0x7F80 else number for number in numbers)).tobytes()
    path.write_bytes(content)
