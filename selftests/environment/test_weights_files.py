"""What lies beside the weights is read where the server looks for it, and what cannot be read is said."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hallmark.environment.collect import collect_weights
from hallmark.environment.served_weights import TokenizerFiles, WeightsFiles
from selftests.environment.test_interpreters import interpreters

TINY = Path(__file__).resolve().parents[2] / "fixtures" / "hallmark_tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def read(python: Path = Path(sys.executable), environ: dict[str, str] | None = None, **request: str) -> WeightsFiles:
    return collect_weights(python, {"PATH": os.environ["PATH"], "HOME": "/nowhere", **(environ or {})}, request)


def snapshot(hub: Path, commit: str = COMMIT, *, ref: str = "main", layers: int = 2) -> Path:
    """A repository someone/model in a cache, with a config of so many layers."""
    repository = hub / "models--someone--model"
    folder = repository / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))
    (repository / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / ref).write_text(commit)
    return folder


def layers(files: WeightsFiles) -> int | None:
    return files.config["num_hidden_layers"] if files.config else None


def test_a_folder_is_read_as_it_is() -> None:
    files = read(source=str(TINY))
    assert (files.folder, layers(files), files.reasons) == (str(TINY), 4, {})
    assert files.tokenizer == TokenizerFiles(
        vocab_size=261,
        base_vocab_size=261,
        special_tokens={"eos_token": "<|end|>", "pad_token": "<|pad|>"},
        chat_template=True,
    )


@pytest.mark.parametrize("python", interpreters(), ids=str)
def test_each_interpreter_reads_the_same(python: Path) -> None:
    assert read(python, source=str(TINY)) == read(source=str(TINY))


# Where the cache of repositories is -> the environment that says so.
CACHES: dict[str, dict[str, str]] = {
    "hub": {"HF_HUB_CACHE": "{}/hub", "HF_HOME": "/elsewhere"},
    "old/hub": {"HUGGINGFACE_HUB_CACHE": "{}/old/hub"},
    "home/hub": {"HF_HOME": "{}/home"},
    "xdg/huggingface/hub": {"XDG_CACHE_HOME": "{}/xdg"},
    ".cache/huggingface/hub": {"HOME": "{}"},
}


@pytest.mark.parametrize("place", CACHES)
def test_a_repository_is_found_in_the_servers_own_cache(tmp_path: Path, place: str) -> None:
    folder = snapshot(tmp_path / place)
    environ = {name: value.format(tmp_path) for name, value in CACHES[place].items()}
    files = read(environ=environ, source="someone/model")
    assert (files.folder, layers(files)) == (str(folder), 2)
    elsewhere = read(source="someone/model")
    assert elsewhere.config is None
    assert elsewhere.reasons["config"].startswith("no folder someone/model, and no snapshot of it in /nowhere/.cache")


def test_the_folder_of_downloads_counts_too(tmp_path: Path) -> None:
    snapshot(tmp_path / "downloads")
    assert layers(read(source="someone/model", download_dir=str(tmp_path / "downloads"))) == 2


def test_a_revision_is_the_one_that_is_read(tmp_path: Path) -> None:
    """A branch or tag by what it pointed to when it was fetched, a commit by itself; never another one."""
    snapshot(tmp_path, "a" * 40, ref="main", layers=1)
    snapshot(tmp_path, "b" * 40, ref="refs/pr/7", layers=7)
    environ = {"HF_HUB_CACHE": str(tmp_path)}
    for revision, expected in (("", 1), ("main", 1), ("refs/pr/7", 7), ("b" * 40, 7), ("v9", None), ("c" * 40, None)):
        assert layers(read(environ=environ, source="someone/model", revision=revision)) == expected, revision


def test_config_and_tokenizer_may_come_from_elsewhere(tmp_path: Path) -> None:
    """As the engine is told with --hf-config-path and --tokenizer."""
    weights, other = tmp_path / "weights", tmp_path / "other"
    for folder, number in ((weights, 1), (other, 2)):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"num_hidden_layers": number}))
    files = read(source=str(weights), config_source=str(other), tokenizer_source=str(TINY))
    assert (files.folder, layers(files)) == (str(weights), 2)
    assert files.tokenizer is not None
    assert files.tokenizer.vocab_size == 261


@pytest.mark.parametrize(
    ("text", "reason"), [("", "config.json: "), ("[1]", "is no JSON object"), ("{", "Expecting property name")]
)
def test_a_config_that_is_none_is_told(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "config.json").write_text(text)
    files = read(source=str(tmp_path))
    assert files.config is None
    assert reason in files.reasons["config"]
    assert "No such file" in files.reasons["tokenizer"]


BPE: dict[str, Any] = {
    "model": {"vocab": {"a": 0, "b": 1}},
    "added_tokens": [{"id": 1, "content": "b"}, {"id": 5, "content": "c"}],
}
UNIGRAM: dict[str, Any] = {"model": {"vocab": [["a", 0.1], ["b", 0.2]]}}


@pytest.mark.parametrize(
    ("tokenizer", "settings", "expected"),
    [
        (BPE, {"bos_token": {"content": "<s>"}, "pad_token": None}, (3, 2, {"bos_token": "<s>"}, False)),
        (UNIGRAM, {"chat_template": "{{ messages }}", "eos_token": "</s>"}, (2, 2, {"eos_token": "</s>"}, True)),
        (UNIGRAM, {"chat_template": [{"name": "default", "template": "x"}]}, (2, 2, {}, True)),
    ],
)
def test_tokenizers_of_several_makes(tmp_path: Path, tokenizer: Any, settings: Any, expected: Any) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    found = read(source=str(tmp_path)).tokenizer
    assert found is not None
    assert (found.vocab_size, found.base_vocab_size, dict(found.special_tokens), found.chat_template) == expected


def test_an_odd_tokenizer_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    files = read(source=str(tmp_path))
    assert files.config == {}
    assert files.tokenizer is None
    assert files.reasons["tokenizer"].startswith("tokenizer.json: ")
