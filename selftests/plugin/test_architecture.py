"""The weights that are served are the model of the spec: read where the server reads them, red where they are another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from selftests.faulty import running
from selftests.plugin.commands import Ended
from selftests.plugin.conftest import Place
from selftests.plugin.stand_in_spec import ARCHITECTURE, DEVICE, MODEL, WEIGHTS, perf_point

pytestmark = [pytest.mark.e2e, pytest.mark.long]

NO_FEATURES = {"features": []}
BIG = {**ARCHITECTURE, "num_hidden_layers": 80, "hidden_size": 8192}
TOKENIZER = {"vocab_size": 261, "special_tokens": {"eos_token": "<|end|>"}, "chat_template": True}


def released(place: Place, *, faults: str = "", **fields: Any) -> Ended:
    """A run of the identity alone: no feature, no eval, and a point that the spec must state."""
    place.spec(perf=[perf_point()], impl=NO_FEATURES, faults=faults, **fields)
    return place.release().end()


@pytest.mark.long
def test_another_model_in_the_folder_is_red_and_says_in_what(place: Place) -> None:
    wrong = {"tokenizer": {**TOKENIZER, "special_tokens": {"eos_token": "</s>"}}}
    ended = released(place, architecture=BIG, weights=wrong, faults='dimensions={"n_embd":4096}').must_end(1, "REJECTED")
    assert ended.bad == {"spec.targets": "INCONCLUSIVE", "server.architecture": "FAIL", "server.tokenizer": "FAIL"}
    reason = ended.rows["server.architecture"]["reason"]
    for part in ("hidden_size is 128, not 8192", "num_hidden_layers is 4, not 80", "n_embd in /v1/models is 4096, not 128"):
        assert part in reason
    assert ended.rows["server.tokenizer"]["reason"] == "eos_token is '<|end|>', not '</s>'"
    written = json.loads((ended.folder / "runtime_environment.json").read_text(encoding="utf-8"))
    assert written["served"]["weights"]["config"]["num_hidden_layers"] == 4
    assert written["served"]["weights"]["folder"] == str(WEIGHTS)


def test_the_model_itself_is_green(place: Place) -> None:
    ended = released(place, weights={"tokenizer": TOKENIZER}, faults='dimensions={"n_embd":128}')
    assert ended.bad == {"spec.targets": "INCONCLUSIVE"}
    evidence = ended.rows["server.architecture"]["evidence"]
    assert evidence[0]["n"] == len(ARCHITECTURE)
    assert [one["name"] for one in evidence] == ["config.json", "n_embd in /v1/models", "tokens"]
    assert len(ended.rows["server.tokenizer"]["evidence"]) == 3


@pytest.mark.long
def test_a_tokenizer_with_more_tokens_than_the_model_is_red(place: Place) -> None:
    weights = place.folder / "weights"
    shutil.copytree(WEIGHTS, weights, ignore=shutil.ignore_patterns("data", "recipe"))
    config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
    (weights / "config.json").write_text(json.dumps({**config, "vocab_size": 200}), encoding="utf-8")
    ended = released(place, weights={"path": str(weights)}, architecture={**ARCHITECTURE, "vocab_size": 200})
    ended.must_end(1, "REJECTED")
    assert ended.rows["server.architecture"]["reason"] == "the tokenizer has 261 tokens, and the model's vocab_size is 200"


def hub(folder: Path) -> Path:
    """A cache of Hugging Face repositories that holds our model as someone/tiny."""
    repository = folder / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123456789abcdef", encoding="utf-8")
    shutil.copytree(WEIGHTS, repository / "snapshots" / "0123456789abcdef", ignore=shutil.ignore_patterns("data", "recipe"))
    return folder / "hub"


@pytest.mark.parametrize(("revision", "verdict"), [("", "PASS"), ("v9", "INCONCLUSIVE")])
def test_weights_of_a_repository_are_read_from_the_servers_cache(place: Place, revision: str, verdict: str) -> None:
    weights = {"path": "", "repo": "someone/tiny", "revision": revision}
    environ = {"HF_HUB_CACHE": str(hub(place.folder))}
    ended = released(place, weights=weights, env_vars=environ)
    row = ended.rows["server.architecture"]
    assert row["verdict"] == verdict, ended.causes
    if verdict == "INCONCLUSIVE":
        assert "no snapshot of it at v9" in row["reason"]
        assert "name the server's cache of Hugging Face repositories in HF_HOME" in row["reason"]
        plan = json.loads((ended.folder / "launch_plan.json").read_text(encoding="utf-8"))
        assert "--revision v9" in plan["command"], "what is pinned is what the server is told"
    else:
        told = json.loads((ended.folder / "runtime_environment.json").read_text(encoding="utf-8"))
        assert told["served"]["weights"]["folder"].endswith("snapshots/0123456789abcdef")


@pytest.mark.long
def test_of_an_attached_server_it_is_seen_or_undecided(place: Place) -> None:
    place.spec(perf=[perf_point()], impl=NO_FEATURES, architecture=BIG)
    with running(model=WEIGHTS, served_model_name=MODEL, ttft_ms=2, max_model_len=512, environ=place.environ) as server:
        seen = place.release(f"--server-url={server.base_url}").end()
        options = [f"--model={MODEL}", f"--device={DEVICE}", f"--spec-dir={place.specs}", f"--artifacts={place.artifacts}"]
        unseen = place.start(["hallmark", "--workflow=tests", *options, f"--server-url={server.base_url}"]).end()
    assert seen.rows["server.architecture"]["verdict"] == "FAIL"
    assert unseen.rows["server.architecture"]["verdict"] == "INCONCLUSIVE"
    assert "name its interpreter with --server-python" in unseen.rows["server.architecture"]["reason"]
