"""`/v1/embeddings` as the stand-in serves it where it is told to (`serves-embeddings`), and how it gets them wrong. Pure."""

from __future__ import annotations

import base64
import math
import random
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from selftests.faulty.jobs import Refused
from selftests.faulty.model import decode, encode
from selftests.faulty.wire import Reply

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

OFFERED = "serves-embeddings"
PATH = "/v1/embeddings"
DIMENSIONS = 24
EMBEDDINGS: Mapping[str, tuple[str, str]] = {
    OFFERED: ("no fault, but a server that has /v1/embeddings", ""),
    "dimensions-refused": ("no fault, but a model whose embeddings cannot be shortened", ""),
    "embeddings-object": ("the object of an embedding is list", ""),
    "embeddings-lost": ("of several texts the last gets no embedding", ""),
    "embeddings-uncounted": ("of several texts only the first is counted", ""),
    "embedding-null": ("an embedding holds a null", ""),
    "embedding-zero": ("each embedding is all zeros", ""),
    "base64-big-endian": ("the numbers in base64 begin with their highest byte", ""),
    "base64-doubles": ("the numbers in base64 have 64 bits", ""),
    "base64-ignored": ("embeddings come as numbers whatever was asked for", ""),
    "base64-refused": ("base64 is refused", ""),
    "base64-scaled": ("in base64 an embedding has another length", ""),
    "base64-of-next": ("in base64 each text gets the embedding of the next", ""),
    "embeddings-swapped": ("of several texts the second and the third get each other's embedding", ""),
    "indices-equal": ("each embedding has the index 0", ""),
    "embeddings-blend": ("among others, an embedding has a part of its neighbour's", ""),
    "embeddings-alike": ("whatever the text, the embedding is the same", ""),
    "dimensions-ignored": ("dimensions are ignored", ""),
    "no-dimensions-given": ("0 dimensions are given", ""),
}


def answer(body: dict[str, Any], faults: Faults, *, name: str) -> Reply:
    """What is sent for a request; Refused for one that is none."""
    texts = _texts(body.get("input"))
    made = [_vector(text, faults) for text in texts]
    if "embeddings-blend" in faults and len(made) > 1:
        made = [
            _unit([a + 0.3 * b for a, b in zip(one, other, strict=True)])
            for one, other in zip(made, made[1:] + made[:1], strict=True)
        ]
    if "embeddings-swapped" in faults and len(made) > 2:
        made[1], made[2] = made[2], made[1]
    if "embeddings-lost" in faults and len(made) > 1:
        made.pop()
    wanted = _dimensions(body, faults)
    made = [vector if wanted == DIMENSIONS else _unit(vector[:wanted]) for vector in made]
    coded = _encoded(made, body.get("encoding_format", "float"), faults)
    kind = "list" if "embeddings-object" in faults else "embedding"
    rows = [
        {"object": kind, "index": 0 if "indices-equal" in faults else index, "embedding": one} for index, one in enumerate(coded)
    ]
    counted = sum(len(encode(text)) for text in (texts[:1] if "embeddings-uncounted" in faults else texts))
    usage = {"prompt_tokens": counted, "total_tokens": counted}
    return Reply.json({"object": "list", "data": rows, "model": name, "usage": usage})


def _texts(asked: object) -> list[str]:
    several = asked if isinstance(asked, list) and asked and not isinstance(asked[0], int) else [asked]
    texts = [decode(one) if isinstance(one, list) else one for one in several]
    if not all(isinstance(text, str) and text for text in texts):
        raise Refused("input must be a text or tokens, or a list of either", param="input")
    return texts


def _dimensions(body: Mapping[str, Any], faults: Faults) -> int:
    wanted = body.get("dimensions")
    if wanted is None or "dimensions-ignored" in faults:
        return DIMENSIONS
    if "dimensions-refused" in faults or not isinstance(wanted, int) or not 1 <= wanted <= DIMENSIONS:
        if wanted == 0 and "no-dimensions-given" in faults:
            return DIMENSIONS
        raise Refused(f"dimensions must be from 1 to {DIMENSIONS}", param="dimensions")
    return wanted


def _vector(text: str, faults: Faults) -> list[float]:
    chance = random.Random("the same" if "embeddings-alike" in faults else text)
    return _unit([chance.gauss(0, 1) * ("embedding-zero" not in faults) for _ in range(DIMENSIONS)])


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector) or 1.0
    return [x / length for x in vector]


def _encoded(made: list[list[float]], form: object, faults: Faults) -> list[Any]:
    if form not in ("float", "base64") or (form == "base64" and "base64-refused" in faults):
        raise Refused("encoding_format is float", param="encoding_format")
    if form == "float" or "base64-ignored" in faults:
        return [[None, *one[1:]] for one in made] if "embedding-null" in faults else made
    if "base64-scaled" in faults:
        made = [[2 * x for x in one] for one in made]
    if "base64-of-next" in faults:
        made = made[1:] + made[:1]
    order = ">" if "base64-big-endian" in faults else "<"
    kind = "d" if "base64-doubles" in faults else "f"
    return [base64.b64encode(struct.pack(f"{order}{len(one)}{kind}", *one)).decode() for one in made]
