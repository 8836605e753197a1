"""`/v1/embeddings`: the same vector in each encoding, for each text its own, and as long as was asked for."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from functools import partial

import pytest

from hallmark.client.asking import together
from hallmark.client.text import count, part
from hallmark.core.errors import Inconclusive

pytestmark = pytest.mark.server

EMBEDDINGS = "/v1/embeddings"
TEXTS = (
    *(
        "The deep lake kept 42 golden lamps.",
        "golden lamps",
        "12+34=",
        "a",
        "Grüße, 世界!",
        "Once upon a time there was a king. " * 3,
    ),
    *(
        "Where is the nearest station?",
        "def add(a, b): return a + b",
        "Water boils at 100 degrees.",
        "Nobody came to the meeting.",
    ),
)
SAME = 0.999
"""The least cosine of two vectors of one text; computed in another batch, they differ by rounding."""


def asked(client, **fields):
    return client.post(EMBEDDINGS, client.body(**fields)).require(200)


def vectors(answer):
    """Of an answer in numbers, in the order of its data; CheckFailed for what is no vector."""
    found = [part(one, "embedding") for one in part(answer.json(), "data")]
    for vector in found:
        numbers = isinstance(vector, list) and all(isinstance(x, int | float) and not isinstance(x, bool) for x in vector)
        if not numbers or not vector:
            raise answer.failure(f"an embedding is no list of numbers: {str(vector)[:100]}")
        if not any(vector):
            raise answer.failure(f"an embedding is {len(vector)} zeros")
    return found


def cosine(one, other):
    if len(one) != len(other):
        return -1.0
    lengths = math.hypot(*one) * math.hypot(*other)
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else -1.0


@pytest.mark.check(
    "server.embeddings.form",
    title="Embeddings come as OpenAI's list, one for each text with its index, and usage counts all of them",
    needs="embeddings",
    source="OpenAI API reference: CreateEmbeddingResponse, usage (openapi.yaml of 2026-08-21)",
    covers="X10",
    fault="embeddings-uncounted",
)
def test_embeddings_have_their_form(client, check):
    answer = asked(client, input=list(TEXTS[:4]))
    body = answer.json()
    check.equal("object", part(body, "object"), "list")
    check.equal("model", part(body, "model"), client.model)
    check.equal("embeddings", len(vectors(answer)), 4)
    check.equal("index of each", repr([one.get("index") for one in body["data"]]), repr([0, 1, 2, 3]))
    check.equal("object of each", repr({one.get("object") for one in body["data"]}), repr({"embedding"}))
    alone = [
        count(part(one.json(), "usage", "prompt_tokens"), "prompt_tokens")
        for one in together([partial(asked, client, input=text) for text in TEXTS[:4]])
    ]
    check.equal("prompt_tokens of 4 texts", count(part(body, "usage", "prompt_tokens"), "prompt_tokens"), sum(alone))
    check.equal("total_tokens", part(body, "usage", "total_tokens"), sum(alone))


@pytest.mark.check(
    "server.embeddings.base64",
    title="In base64 an embedding is the same vector: little-endian numbers of 32 bits",
    needs="embeddings",
    source="OpenAI API reference: encoding_format, base64 being its clients' default (openapi.yaml of 2026-08-21); vllm #5935",
    covers="X09",
    fault="base64-big-endian",
)
def test_base64_is_the_same_vector(client, check):
    plain = vectors(asked(client, input=list(TEXTS), encoding_format="float"))
    answer = asked(client, input=list(TEXTS), encoding_format="base64")
    lowest = 1.0
    for place, (vector, one) in enumerate(zip(plain, part(answer.json(), "data"), strict=True)):
        coded = part(one, "embedding")
        if not isinstance(coded, str):
            raise answer.failure(f"asked for base64, embedding {place} is {str(coded)[:60]}")
        try:
            raw = base64.b64decode(coded, validate=True)
        except binascii.Error as exc:
            raise answer.failure(f"embedding {place} is no base64 ({exc})") from exc
        if len(raw) != 4 * len(vector):
            raise answer.failure(f"embedding {place} has {len(raw)} bytes in base64, and {len(vector)} numbers of 4 bytes each")
        like = likeness(struct.unpack(f"<{len(vector)}f", raw), vector)
        if not like >= SAME:  # of what is no number, too
            raise answer.failure(f"embedding {place} is another vector in base64: their likeness is {like:.4g}, not {SAME}")
        lowest = min(lowest, like)
    check.at_least("least likeness of a vector in both encodings", lowest, SAME, n=len(plain))


def likeness(one, other):
    """The cosine, lessened where the lengths differ; NaN where a number is none."""
    longer, shorter = sorted((math.hypot(*one), math.hypot(*other)), reverse=True)
    return cosine(one, other) * (shorter / longer) if longer else -1.0


@pytest.mark.check(
    "server.embeddings.order",
    title="Of several texts each gets its own embedding, in their order, and the one that it gets alone",
    needs="embeddings",
    source="OpenAI API reference: input, index (openapi.yaml of 2026-08-21); vllm #16815, #6744",
    covers="X10",
    fault="embeddings-swapped",
)
def test_each_text_gets_its_own(client, check):
    batch = asked(client, input=list(TEXTS))
    alone = [vectors(one)[0] for one in together([partial(asked, client, input=text) for text in TEXTS])]
    found = vectors(batch)
    check.equal("embeddings", len(found), len(TEXTS))
    check.equal("index of each", repr([one.get("index") for one in batch.json()["data"]]), repr([*range(len(TEXTS))]))
    if all(cosine(alone[0], other) >= SAME for other in alone[1:]):
        raise Inconclusive("the embeddings of different texts are too much alike to tell whose is whose")
    lowest = 1.0
    for place, vector in enumerate(found):
        likest = max(range(len(alone)), key=lambda other: cosine(vector, alone[other]))
        own = cosine(vector, alone[place])
        if not own >= SAME:
            whose = f"that of text {likest}" if cosine(vector, alone[likest]) >= SAME else "none of them"
            raise batch.failure(f"among others, text {place} gets an embedding that is {whose} alone: its own is at {own:.4g}")
        lowest = min(lowest, own)
    check.at_least("least likeness of a text's embedding alone and among others", lowest, SAME, n=len(TEXTS))


@pytest.mark.check(
    "server.embeddings.dimensions",
    title="The dimensions that are asked for are given, or refused: never passed over in silence",
    needs="embeddings",
    source="OpenAI API reference: dimensions, at least 1 (openapi.yaml of 2026-08-21)",
    covers="X10",
    fault="dimensions-ignored",
)
def test_dimensions_are_given_or_refused(client, check):
    (whole,) = vectors(asked(client, input=TEXTS[0]))
    wanted = len(whole) // 2
    answer = client.post(EMBEDDINGS, client.body(input=TEXTS[0], dimensions=wanted))
    if 400 <= answer.status < 500:
        check.observe(f"{wanted} of {len(whole)} dimensions", f"refused with {answer.status}")
    else:
        (vector,) = vectors(answer.require(200))
        check.equal(f"dimensions where {wanted} of {len(whole)} were asked for", len(vector), wanted)
    none = client.post(EMBEDDINGS, client.body(input=TEXTS[0], dimensions=0))
    if not 400 <= none.status < 500:
        raise none.failure(f"0 dimensions are not refused: answered {none.status}")
    check.observe("0 dimensions", f"refused with {none.status}")
