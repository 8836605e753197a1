"""`/v1/models` and the entry of one model in it, as OpenAI's reference has them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hallmark.client.text import part
from hallmark.client.wire import Answer, WireClient

MODELS = "/v1/models"
_OTHER_SPELLING = (400, 404, 405)
"""What a server says to a spelling of a name that it does not read."""


def listed(client: WireClient) -> list[dict[str, Any]]:
    """The entries of the list; CheckFailed where there is none."""
    found: list[dict[str, Any]] = part(client.get(MODELS).require(200).json(), "data")
    return found


def one_model(client: WireClient, name: str) -> Answer:
    """What is answered to a request for the model of that name, whatever its status.

    A slash in the name is sent as %2F, which is a name's right spelling in a path, and where that is not read, as it is:
    clients send either.
    """
    answer = client.get(f"{MODELS}/{quote(name, safe='')}")
    if answer.status in _OTHER_SPELLING and "/" in name:
        return client.get(f"{MODELS}/{quote(name)}")
    return answer
