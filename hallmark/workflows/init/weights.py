"""Where the weights are, and what their config.json says: from it follow the architecture and the longest context."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hallmark.core.errors import UsageError
from hallmark.environment.weights_files import Unreadable, caches, folder_of, read_object
from hallmark.specs.architecture import Architecture, Value
from hallmark.specs.matching import QUANTISATION, Matcher, Pattern

_DIMENSIONS = (
    *("num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings"),
    *("num_attention_heads", "num_key_value_heads"),
)
_FURTHER = ("head_dim", "hidden_act", "tie_word_embeddings", "rms_norm_eps", "num_experts", "num_local_experts", "sliding_window")
"""Said besides, so that a model whose dimensions the catalogue knows is still more narrowly described than those."""
_OF_QUANTISATION = ("quant_method", "format", "bits", "group_size")
_WANTED_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundWeights:
    """One set of weights."""

    path: Path | None
    """Their folder; None where they are a repository."""
    repo: str
    folder: Path
    """Where config.json and the tokenizer are read: `path`, or the repository's snapshot."""
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name if self.path else self.repo.rpartition("/")[2]

    @property
    def longest_context(self) -> int | None:
        """Tokens, as config.json has it."""
        for at in (self.config, self.config.get("text_config") or {}):
            if isinstance(length := at.get("max_position_embeddings"), int) and length > 0:
                return length
        return None


def find_weights(source: str, *, revision: str = "", environ: Mapping[str, str] | None = None) -> FoundWeights:
    """The weights at `source`, a folder or a repository; UsageError where no config.json can be read.

    A repository is looked for in the cache of the server's variables, then in that of this process, then asked of its hub.
    """
    if Path(source).expanduser().is_dir():
        path = Path(source).expanduser().absolute()
        return FoundWeights(path=path, repo="", folder=path, config=_config(path))
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        hint = "name the folder of the weights, or <owner>/<name> of a Hugging Face repository, with --weights"
        raise UsageError("neither a folder nor a repository", where=f"weights '{source}'", hint=hint)
    folder = _cached(source, revision, environ or os.environ) or _downloaded(source, revision)
    return FoundWeights(path=None, repo=source, folder=folder, config=_config(folder))


def _cached(repo: str, revision: str, environ: Mapping[str, str]) -> Path | None:
    for variables in (environ, os.environ):
        try:
            found = folder_of(repo, revision, caches(variables, ""))
        except (Unreadable, OSError):
            continue
        if all((found / name).is_file() for name in _WANTED_FILES[:3]):
            return found
    return None


def _downloaded(repo: str, revision: str) -> Path:
    """The small files of the repository, fetched into this user's cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=list(_WANTED_FILES)))
    except Exception as exc:  # of the hub, of HTTP, of the disk
        hint = "name a folder that holds config.json with --weights, or set HF_TOKEN if the repository is closed"
        raise UsageError(f"its files cannot be had: {type(exc).__name__}", where=f"weights '{repo}'", hint=hint) from exc


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        config = read_object(folder / "config.json")
    except Unreadable as exc:
        raise UsageError(str(exc), where="--weights", hint="name the folder that holds the model's config.json") from exc
    if not isinstance(config.get("model_type"), str):
        raise UsageError("config.json states no model_type", where=str(folder), hint="it is what tells which model this is")
    return config


def architecture_of(config: Mapping[str, Any], known: Matcher) -> Architecture:
    """What tells this model from others: model_type, the dimensions, and more than each pattern of `known` that it matches."""
    found: Architecture = {"model_type": config["model_type"]}
    found |= _stated(config, _DIMENSIONS)
    if inner := _stated(config.get("text_config") or {}, _DIMENSIONS):
        found["text_config"] = inner
    for pattern in known.candidates(config):
        _add(found, pattern, config)
    found |= _stated(config, _FURTHER)
    return found | _quantisation(config)


def _quantisation(config: Mapping[str, Any]) -> Architecture:
    """How the weights are quantised, which some configs say of their text alone: a pattern without it matches none of them."""
    for inside in (config, config.get("text_config") or {}):
        for name in QUANTISATION:
            if isinstance(said := inside.get(name), Mapping) and said:
                return {name: _stated(said, _OF_QUANTISATION) or _stated(said, tuple(said))}
    return {}


def _stated(config: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Value]:
    return {name: config[name] for name in names if isinstance(config.get(name), str | int | float | bool)}


def _add(found: Architecture, pattern: Pattern, config: Mapping[str, Any]) -> None:
    """What the pattern asks for, so that this architecture asks for all of it and more."""
    for attribute, _ in pattern.constraints:
        if attribute[0] in QUANTISATION:
            continue
        if len(attribute) == 1:
            found.update(_stated(config, (attribute[0],)))
        elif isinstance(inner := config.get(attribute[0]), Mapping):
            there = found.get(attribute[0])
            kept = {**(there if isinstance(there, dict) else {}), **_stated(inner, (attribute[1],))}
            if kept:
                found[attribute[0]] = kept
