"""Whom the stand-in lets in, and by which faults it lets others in. Pure."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from selftests.faulty import model_faults, reasoning, response_calls
from selftests.faulty.faults import Faults
from selftests.faulty.jobs import Refused, too_deep
from selftests.faulty.only_openai import EXTENSIONS

OPEN = ("/health", "/version", "/metrics")
COMPLETIONS = ("/v1/completions", "/invocations", "/generate", "/vendor/run")
CHATS = ("/v1/chat/completions",)
_FIELDS: Mapping[str, Any] = {
    **{name: {} for name in EXTENSIONS},
    "stream_options": {"properties": {"include_usage": {}, "continuous_usage_stats": {}}},
}
_PATHS: Mapping[str, Any] = {
    "/health": {"get": {}},
    "/vendor/run": {"post": {}},
    "/vendor/things/{name}": {"get": {}, "parameters": []},
    **{
        path: {"post": {"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Request"}}}}}}
        for path in (*COMPLETIONS[:1], *CHATS)
    },
}
"""Engines leave some of their routes out, and so does this one."""


def listed(faults: Faults) -> Mapping[str, Any]:
    """What this server tells by /openapi.json."""
    paths: dict[str, Any] = {"/v1/models/{model}": {"get": {}}} if model_faults.LISTED in faults else {}
    if response_calls.LISTED in faults:
        tools = {"schema": {"properties": {"tools": {}}}}
        paths["/v1/responses"] = {"post": {"requestBody": {"content": {"application/json": tools}}}}
    takes_budget = "thinking-budget-listed" in faults or "thinking-budget-refused" in faults
    fields = {reasoning.BUDGET: {}} if takes_budget else {}
    request = {"properties": {**_FIELDS, **fields}}
    return {"components": {"schemas": {"Request": request}}, "paths": {**_PATHS, **paths}}


@dataclass(frozen=True)
class Knock:
    """One request, as far as it matters at the door."""

    method: str
    target: str
    """Path and query, as they came."""
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def routed(self, faults: Faults) -> str:
        """The path that answers."""
        match faults.text("open-spelling"):
            case "encoded":
                return unquote(self.path)
            case "slashes":
                return posixpath.normpath(self.path.replace("//", "/"))
            case "dots":
                return posixpath.normpath(unquote(self.path))
        return self.path

    @property
    def streams(self) -> bool:
        try:
            return not too_deep(self.body) and bool(json.loads(self.body).get("stream"))
        except (ValueError, AttributeError, RecursionError):
            return False


def require_admission(knock: Knock, key: str, faults: Faults) -> None:
    """Refused (401) for a request that may not come in; everybody may where there is no key."""
    if not _admits(knock, key, faults):
        raise Refused("Unauthorized", 401)


def _admits(knock: Knock, key: str, faults: Faults) -> bool:
    if not key or knock.path in OPEN or "open-door" in faults:
        return True
    ways_in = {
        "open-route": knock.path in faults.text("open-route").split("+"),
        "open-spelling": knock.path not in (*COMPLETIONS, *CHATS, "/v1/models"),
        "open-methods": knock.method == "PUT",
        "open-streams": knock.streams,
    }
    if any(name in faults and holds for name, holds in ways_in.items()):
        return True
    scheme, _, shown = knock.headers.get("authorization", "").partition(" ")
    asked = dict(parse_qsl(knock.target.partition("?")[2]))
    passes_for_the_key = {
        "key-prefix": bool(shown) and key.startswith(shown),
        "key-any-case": shown.lower() == key.lower(),
        "key-within": key in shown,
        "key-trimmed": shown.strip().strip('"') == key,
        "key-in-query": key in asked.values(),
        "key-as-x-api-key": knock.headers.get("x-api-key") == key,
        "unsigned-tokens": shown.startswith("eyJ") and shown.endswith("."),
    }
    return (scheme == "Bearer" and shown == key) or any(name in faults and it for name, it in passes_for_the_key.items())
