"""The tokens that random prompts are made of, where no cell of a run knows them."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hallmark.client.oracle import TokenOracle, oracle_of
from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed, InfrastructureError
from hallmark.specs.cell import Cell
from hallmark.workflows.sides import Attached, Side, Started

_LETTERS = " ".join(string.ascii_letters + string.digits + string.punctuation)
_HINT = "name a folder that holds it with --tokenizer"


def cell_of(sides: Sequence[Side]) -> Cell | None:
    """The cell of the first side that is a spec."""
    return next((side.cell for side in sides if isinstance(side, Started)), None)


class Tokens(NamedTuple):
    """What random prompts are made of."""

    vocabulary: Sequence[int]
    """Token ids."""
    tokenizer: TokenOracle | None
    """The model's own, by which chats are counted; None where only its server knows it."""

    @classmethod
    def of(cls, tokenizer: TokenOracle) -> Tokens:
        return cls(tokenizer.ordinary_ids(), tokenizer)


def tokens_of(sides: Sequence[Side], folder: Path | None) -> Tokens:
    """By the tokenizer in the folder that is named, by that of a spec's weights, or as a server tells.

    InfrastructureError where none of these can be had.
    """
    if folder:
        return Tokens.of(TokenOracle.from_folder(folder))
    if cell := cell_of(sides):
        return Tokens.of(oracle_of(cell))
    first = next(side for side in sides if isinstance(side, Attached))
    root = Path(str(first.listed.get("root") or ""))
    if root.is_absolute() and (root / "tokenizer.json").is_file():
        return Tokens.of(TokenOracle.from_folder(root))
    return Tokens(_told(first), None)


def _told(side: Attached) -> list[int]:
    """As the server's own `/tokenize` splits letters and signs."""
    with WireClient(side.url, side.endpoint.model, api_key=side.api_key, timeout_s=30) as client:
        try:
            answer = client.post("/tokenize", client.body(prompt=_LETTERS, add_special_tokens=False)).require(200).json()
            found = sorted({int(token) for token in answer["tokens"]})
        except (CheckFailed, LookupError, TypeError, ValueError) as exc:
            raise InfrastructureError(
                f"its tokenizer is not known: {str(exc).splitlines()[0]}", where=side.url, hint=_HINT
            ) from exc
    if not found:
        raise InfrastructureError("its tokenizer is not known: /tokenize gives no token", where=side.url, hint=_HINT)
    return found
