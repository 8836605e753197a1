"""`/v1/models/{model}`: one model, told as the list tells it; where a server has the route, which not every engine does."""

from __future__ import annotations

from functools import partial

import pytest

from hallmark.client.asking import together
from hallmark.client.models import MODELS, listed, one_model
from hallmark.client.refusal import require_refused
from hallmark.client.text import count, part
from hallmark.core.errors import Inconclusive

pytestmark = pytest.mark.server

MOST = 8
"""So many entries of a list are asked for; a server that has hundreds shows by these what it does with them."""
ALSO_TOLD = ("owned_by", "root", "parent", "max_model_len")
"""What an entry says of a model and does not change between two requests. `created` does: engines tell when they were asked."""
LATEST = 10**11
"""Seconds up to the year 5138; a time in milliseconds is more."""


@pytest.mark.check(
    "server.models.one",
    title="Each model of the list is found by its name, and is told as in the list",
    needs="extension:one_model",
    source="OpenAI API reference: GET /models/{model}, the model object (openapi.yaml of 2026-08-21)",
    fault="one-model-is-list",
)
def test_a_model_is_told_as_in_the_list(client, check):
    """Id and object as the reference has them; what else both tell is the same. What only one of them tells is no fault."""
    entries = listed(client)[:MOST]
    if not entries:
        raise Inconclusive(f"{MODELS} lists no model that could be asked for")
    names = [part(entry, "id") for entry in entries]
    for name, entry, answer in zip(names, entries, together([partial(one_model, client, name) for name in names]), strict=True):
        found = answer.require(200).json()
        told = found if isinstance(found, dict) else {}
        for field, wanted in (("id", name), ("object", "model")):
            if told.get(field) != wanted:
                raise answer.failure(f"{field} of the model {name} is {told.get(field)!r}, not {wanted!r}: {answer.excerpt}")
        for field in ALSO_TOLD:
            if None not in (entry.get(field), told.get(field)) and told[field] != entry[field]:
                raise answer.failure(f"{field} of the model {name} is {told[field]!r}, in the list {entry[field]!r}")
        if "created" in {**entry, **told} and not 0 < count(part(told, "created"), "created") < LATEST:
            raise answer.failure(f"created of the model {name} is {told['created']!r}, which is no time in seconds")
    check.observe("models that are told as in the list", len(names))


@pytest.mark.check(
    "server.models.unknown",
    title="A model that is not served is not found by its name: 404 with an error that says so",
    needs="extension:one_model",
    source="OpenAI API reference: GET /models/{model}, ErrorResponse (openapi.yaml of 2026-08-21)",
    fault="one-model-for-any-name",
)
def test_an_unknown_model_is_not_found(client, check):
    """Also one whose name begins with that of a model which is served."""
    names = ("no-such-model", f"{client.model}-of-another-kind")
    for name, answer in zip(names, together([partial(one_model, client, name) for name in names]), strict=True):
        require_refused(answer, f"the model {name}, which is not served")
        check.equal(f"status of the model {name}, which is not served", answer.status, 404)
