"""`/v1/models/{model}` of the stand-in, where it is told to have it (`serves-one-model`), and how it gets that wrong. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from selftests.faulty.jobs import Refused
from selftests.faulty.wire import Reply

if TYPE_CHECKING:
    from selftests.faulty.faults import Faults

OFFERED = "serves-one-model"
PATH = "/v1/models"
LISTED = "one-model-listed"
MODELS: Mapping[str, tuple[str, str]] = {
    OFFERED: ("no fault, but a server that has /v1/models/{model}", ""),
    LISTED: ("no fault, but a server that has /v1/models/{model} and says so in its OpenAPI document", ""),
    "one-model-is-page": ("no fault, but a server that answers every path with a page", ""),
    "one-model-without-more": ("no fault, but a server that tells of one model only what the reference requires", ""),
    "one-model-by-slashes": ("no fault, but a server that finds a name with a slash only where the slash is sent as it is", ""),
    "one-model-is-list": ("a request for one model is answered with the list", ""),
    "one-model-is-other": ("a request for one model is answered with another one's name", ""),
    "one-model-differs": ("the entry of one model has another context length than the list", ""),
    "one-model-in-ms": ("the entry of one model was created in milliseconds", ""),
    "one-model-not-found": ("no model of the list is found by its name", ""),
    "one-model-for-any-name": ("a model of every name is found", ""),
    "one-model-for-longer-names": ("a model is found by each name that begins with its own", ""),
    "unknown-model-is-400": ("a model that is not served is refused by 400", ""),
    "unknown-model-untold": ("a model that is not served is refused without an error that says so", ""),
}
_REQUIRED = ("id", "object", "created", "owned_by")


def answer(path: str, entries: Sequence[Mapping[str, Any]], faults: Faults) -> Reply | None:
    """The entry of the model that `path` names; Refused for a name that is not served, None where there is no such route."""
    if "one-model-is-page" in faults:
        return Reply(200, b"<!doctype html><title>The models</title>", "text/html")
    if OFFERED not in faults and LISTED not in faults:
        return None
    try:
        return Reply.json(_told(path, entries, faults))
    except Refused as refused:
        if "unknown-model-untold" not in faults:
            raise
        return Reply.json({}, refused.status)


def _told(path: str, entries: Sequence[Mapping[str, Any]], faults: Faults) -> Any:
    asked = path.removeprefix(f"{PATH}/")
    if "one-model-by-slashes" not in faults:
        asked = unquote(asked)
    entry = next((one for one in entries if _is(asked, str(one["id"]), faults)), None)
    if "one-model-for-any-name" in faults:
        return {**entries[0], "id": asked}
    if entry is None or "one-model-not-found" in faults:
        raise Refused(f"The model '{asked}' does not exist", 400 if "unknown-model-is-400" in faults else 404, "model")
    told = {**entry, "id": asked, "created": 1795730855}
    if "one-model-is-list" in faults:
        return {"object": "list", "data": [told]}
    if "one-model-is-other" in faults:
        told["id"] = "another"
    if "one-model-differs" in faults:
        told["max_model_len"] = 1
    if "one-model-in-ms" in faults:
        told["created"] *= 1000
    return {name: told[name] for name in _REQUIRED} if "one-model-without-more" in faults else told


def _is(asked: str, name: str, faults: Faults) -> bool:
    return asked == name or ("one-model-for-longer-names" in faults and asked.startswith(name))
