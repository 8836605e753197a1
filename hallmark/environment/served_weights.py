"""What lies in the folder of the weights that a server reads: config, tokenizer, and what stands for each file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerFiles:
    """What the files of a tokenizer say."""

    vocab_size: int
    """Its tokens, added ones among them."""
    base_vocab_size: int
    """As many ids as its model has; the tokens that are added later may lie beyond."""
    special_tokens: Mapping[str, str]
    """`bos_token` and the like, and their text."""
    chat_template: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFiles:
    """What `weights_files.py` printed."""

    folder: str
    """Where they lie; of a repository the snapshot, whose name is its commit."""
    config: Mapping[str, Any] | None
    """config.json; None where it cannot be read."""
    tokenizer: TokenizerFiles | None
    reasons: Mapping[str, str]
    """Why something cannot be read, by `folder`, `config` and `tokenizer`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDigests:
    """Of one file of the weights, as `weights_digests.py` prints it."""

    name: str
    """Its path in their folder."""
    real: str
    """Its path with links followed."""
    sha256: str
    git: str
    """The SHA-1 that git gives it; empty of a large file."""
    named: str
    """The digest that a hub's cache names it by; empty where it does not."""
