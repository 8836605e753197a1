"""What a running server says of itself: its model, its context length, its version, what it can do, and which process it is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from hallmark.client.wire import WireClient
from hallmark.core.errors import CheckFailed, InfrastructureError, UsageError
from hallmark.core.redact import is_secret_name
from hallmark.serving.argument_differences import engine_flags
from hallmark.serving.listener import Listener, listeners_at
from hallmark.specs.model import Feature
from hallmark.specs.strict import ENGINE_ARGUMENT, Scalar

_SERVED_AS = re.compile(r"[A-Za-z0-9/][!-~]{0,399}")
_TIMEOUT_S = 120.0
_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One running server, as far as it could be found out."""

    url: str
    model: str
    """The name that requests call it by."""
    name: str
    """What a spec can call it: that name without its folder or owner."""
    root: str = ""
    """What the server says that it loaded: a folder or a repository; empty where it does not say."""
    max_context: int | None = None
    """Tokens."""
    version: str = ""
    """What `/version` answers, where that is a version."""
    features: tuple[Feature, ...] = ()
    python: str = ""
    """Its interpreter, where the process is seen on this machine."""
    engine_args: Mapping[str, Scalar] = field(default_factory=dict)
    """Those of its command line, where that is seen."""
    environ: Mapping[str, str] | None = None
    """The variables that it was started with, where they are seen."""


def look_at(url: str, *, api_key: str) -> Served:
    """Ask the server at `url`; InfrastructureError where nothing answers, UsageError for a name that no client could write."""
    with WireClient(url, api_key=api_key, timeout_s=_TIMEOUT_S) as client:
        try:
            entry = _first_model(client.get("/v1/models").require(200).json())
        except CheckFailed as exc:
            hint = "start it, correct --url, or set HALLMARK_API_KEY if it demands a key"
            raise InfrastructureError(str(exc), where=url, hint=hint) from exc
        name = str(entry["id"])
        short = re.sub(r"[^A-Za-z0-9._-]+", "-", name.rstrip("/").rpartition("/")[2]).strip("-._")[:100]
        if not short or not _SERVED_AS.fullmatch(name):
            hint = "start it with --served-model-name and a name of letters, digits, . _ - /"
            raise UsageError(f"the server calls its model '{name}'", where=url, hint=hint)
        client.model = name
        length = entry.get("max_model_len")
        process = _process(url)
        return Served(
            url=url,
            model=name,
            name=short,
            root=str(entry.get("root") or ""),
            max_context=length if isinstance(length, int) and length > 0 else None,
            version=_version(client),
            features=tuple(feature for feature, probe in _PROBES.items() if _does(probe, client)),
            python=_interpreter(process),
            engine_args=_arguments(process),
            environ=process.environ() if process else None,
        )


def _first_model(listed: Any) -> dict[str, Any]:
    """The entry of the model itself; adapters name their parent."""
    data = listed.get("data") if isinstance(listed, dict) else None
    entries = [each for each in data or () if isinstance(each, dict) and each.get("id")]
    base = [each for each in entries if not each.get("parent")]
    if not base:
        raise CheckFailed("/v1/models lists no model")
    return base[0]


def _version(client: WireClient) -> str:
    try:
        stated = str(client.get("/version").require(200).json()["version"])
        Version(stated)
    except (CheckFailed, LookupError, TypeError, InvalidVersion):
        return ""
    return stated


# -- what it can do


def _does(probe: Callable[[WireClient], bool], client: WireClient) -> bool:
    try:
        return probe(client)
    except (CheckFailed, LookupError, TypeError, ValueError):
        return False


def _completes(client: WireClient) -> bool:
    answer = client.post("/v1/completions", client.body(prompt="1 2 3", max_tokens=4, temperature=0)).require(200).json()
    return isinstance(answer["choices"][0]["text"], str)


def _chats(client: WireClient) -> bool:
    said = client.body(messages=[{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0)
    return "message" in client.post("/v1/chat/completions", said).require(200).json()["choices"][0]


def _tells_logprobs(client: WireClient) -> bool:
    body = client.body(prompt="1 2 3", max_tokens=2, temperature=0, logprobs=1)
    logprobs = client.post("/v1/completions", body).require(200).json()["choices"][0]["logprobs"]
    return bool(logprobs["token_logprobs"])


def _obeys_a_schema(client: WireClient) -> bool:
    shape = {"type": "json_schema", "json_schema": {"name": "person", "schema": _PERSON}}
    messages = [{"role": "user", "content": "json: Ada 31"}]
    body = client.body(messages=messages, response_format=shape, max_tokens=120, temperature=0)
    value = json.loads(client.post("/v1/chat/completions", body).require(200).json()["choices"][0]["message"]["content"])
    return set(value) == {"name", "age"} and isinstance(value["age"], int)


_PROBES: dict[Feature, Callable[[WireClient], bool]] = {
    Feature.COMPLETIONS: _completes,
    Feature.CHAT: _chats,
    Feature.LOGPROBS: _tells_logprobs,
    Feature.STRUCTURED_OUTPUT: _obeys_a_schema,
}
"""Adapters are not among them: which ones a server must load is for the spec to say."""


# -- which process it is


def _process(url: str) -> Listener | None:
    found = listeners_at(url)
    return found[0] if found else None


def _interpreter(process: Listener | None) -> str:
    """The Python that the process runs in; empty where that cannot be seen."""
    if process is None or not process.command:
        return ""
    word = process.command[0]
    found = shutil.which(word) if "/" not in word else str(process.folder / word) if process.folder else word
    return found if found and Path(found).is_file() and process.runs(Path(found)) else ""


def _arguments(process: Listener | None) -> dict[str, Scalar]:
    flags = engine_flags(process.command) if process else {}
    return {name: _typed(value) for name, value in flags.items() if ENGINE_ARGUMENT.fullmatch(name) and not is_secret_name(name)}


def _typed(value: str) -> Scalar:
    """As a spec writes it: a flag is true or false, a whole number a number; whatever else stays the text that it is."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if re.fullmatch(r"0|[1-9]\d{0,8}", value) else value
