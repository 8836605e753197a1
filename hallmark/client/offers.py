"""What a server offers beyond what its spec declares: found out by asking it, once, and never guessed.

Only a plain answer counts as "not offered": a path that is not there, a refusal in words, a document that does not name a
field. A probe that fails (500, a time-out, a broken connection) says nothing, and must not pass for an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from hallmark.client.asking import CHATS, COMPLETIONS
from hallmark.client.counters import names_in, read
from hallmark.client.models import MODELS, one_model
from hallmark.client.responses import CALL, RESPONSES
from hallmark.client.thinking import BUDGET, OFF
from hallmark.client.wire import Answer, WireClient
from hallmark.core.errors import CheckFailed

_DOCUMENTS = ("/openapi.json", "/api-doc/openapi.json")
_ABSENT = frozenset({404, 405, 501})
_REFUSED = frozenset({400, 404, 405, 415, 422, 501})
"""What a server says to a request that it does not take. Not 401, 403, 408, 413, 429: those say nothing of what it can."""
_SHOWN = 200
FILLED_AT_MOST = 2**15
"""Tokens of a cache that a check fills."""


class Known(Enum):
    OFFERED = "offered"
    ABSENT = "not offered"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Whether a server offers one thing, and how that is known."""

    known: Known
    reason: str


def _offered(reason: str) -> Offer:
    return Offer(known=Known.OFFERED, reason=reason)


def _absent(reason: str) -> Offer:
    return Offer(known=Known.ABSENT, reason=reason)


def _unknown(reason: str) -> Offer:
    return Offer(known=Known.UNKNOWN, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probe:
    """One request that only a server that has the feature answers as it should."""

    path: str
    body: Mapping[str, Any]
    shows: Callable[[Any], bool] = lambda answer: True
    """Whether an answer with status 200 shows the feature at work."""
    field: str = ""
    """The request's field that asks for it: a server that names it in its document and ignores it offers it, wrongly."""


_ASK: Mapping[str, Any] = {"messages": [{"role": "user", "content": "a"}], "max_tokens": 1}
_FUNCTION: Mapping[str, Any] = {
    "name": "look",
    "description": "Look at a place",
    "parameters": {"type": "object", "properties": {"place": {"enum": ["A", "B"]}}, "required": ["place"]},
}
_ONE_CALL = {
    "tools": [{"type": "function", **_FUNCTION, "strict": False}],
    "tool_choice": "required",
    "parallel_tool_calls": False,
}
"""Of a response, which has tools in a form of its own."""
_CHOICE = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"], "additionalProperties": False}


def _at(answer: Any, *path: str | int) -> Any:
    for step in path:
        try:
            answer = answer[step]
        except (LookupError, TypeError):
            return None
    return answer


def _is_choice(answer: Any) -> bool:
    try:
        return bool(json.loads(str(_at(answer, "choices", 0, "message", "content"))) == {"a": "b"})
    except ValueError:
        return False


def _reasons(answer: Any) -> bool:
    message = _at(answer, "choices", 0, "message")
    return any(_at(message, name) for name in ("reasoning", "reasoning_content"))


def _calls(answer: Any) -> bool:
    output = _at(answer, "output")
    return isinstance(output, list) and any(_at(item, "type") == CALL for item in output)


def _tells_cached(answer: Any) -> bool:
    return isinstance(_at(answer, "usage", "prompt_tokens_details", "cached_tokens"), int)


def _counts_thoughts(answer: Any) -> bool:
    return isinstance(_at(answer, "usage", "completion_tokens_details", "reasoning_tokens"), int)


_TWICE = {"prompt": "What was read before need not be read again. " * 8, "max_tokens": 1}
PROBES: Mapping[str, tuple[_Probe, ...]] = {
    "completions": (_Probe(path=COMPLETIONS, body={"prompt": "a", "max_tokens": 1}),),
    "chat": (_Probe(path=CHATS, body=_ASK),),
    "logprobs": (
        _Probe(
            path=COMPLETIONS,
            body={"prompt": "a", "max_tokens": 1, "logprobs": 1},
            shows=lambda answer: bool(_at(answer, "choices", 0, "logprobs")),
        ),
        _Probe(
            path=CHATS,
            body={**_ASK, "logprobs": True, "top_logprobs": 1},
            shows=lambda answer: bool(_at(answer, "choices", 0, "logprobs")),
        ),
    ),
    "structured_output": (
        _Probe(
            path=CHATS,
            body={
                **_ASK,
                "max_tokens": 32,
                "temperature": 0,
                "response_format": {"type": "json_schema", "json_schema": {"name": "choice", "schema": _CHOICE}},
            },
            shows=_is_choice,
            field="response_format",
        ),
    ),
    "tools": (
        _Probe(
            path=CHATS,
            body={
                **_ASK,
                "max_tokens": 64,
                "temperature": 0,
                "tools": [{"type": "function", "function": _FUNCTION}],
                "tool_choice": "required",
            },
            shows=lambda answer: bool(_at(answer, "choices", 0, "message", "tool_calls")),
            field="tools",
        ),
    ),
    "reasoning": (_Probe(path=CHATS, body={**_ASK, "max_tokens": 64}, shows=_reasons),),
    # Counted where the same prompt comes a second time.
    "extension:cached_tokens": (
        _Probe(path=COMPLETIONS, body=_TWICE, shows=_tells_cached),
        _Probe(path=COMPLETIONS, body=_TWICE, shows=_tells_cached),
    ),
    "extension:reasoning_tokens": (_Probe(path=CHATS, body={**_ASK, "max_tokens": 64}, shows=_counts_thoughts),),
    "responses": (_Probe(path=RESPONSES, body={"input": "a", "max_output_tokens": 16}),),
    "extension:response_calls": (
        _Probe(
            path=RESPONSES,
            body={"input": "a", "max_output_tokens": 64, "temperature": 0, **_ONE_CALL},
            shows=_calls,
            field="tools",
        ),
    ),
    "embeddings": (_Probe(path="/v1/embeddings", body={"input": "a"}),),
}
"""Feature -> the requests by which it is looked for; the first that shows it is enough."""


@dataclass(slots=True)
class Offers:
    """Of one server; each question is asked when it is first needed, and its answer is kept."""

    client: WireClient
    _known: dict[str, Offer] = field(default_factory=dict)
    _document: tuple[Any, Offer] | None = None

    def __call__(self, need: str) -> Offer:
        """Of a feature (`tools`), a field of a request (`field:min_tokens`) or a route (`route:/tokenize`)."""
        if need not in self._known:
            self._known[need] = self._find_out(need)
        return self._known[need]

    def has(self, need: str) -> bool:
        """Whether it is known to be offered."""
        return self(need).known is Known.OFFERED

    def only(self, **fields: Any) -> dict[str, Any]:
        """Of these fields of a request, which OpenAI's reference does not have, those that the server offers."""
        return {name: value for name, value in fields.items() if self.has(f"field:{name}")}

    # -- asking

    def _find_out(self, need: str) -> Offer:
        kind, _, name = need.partition(":")
        match kind:
            case "field":
                return self._field(name)
            case "route":
                return self._route(name)
            case "extension" if name in self._extensions:
                return self._extensions[name]()
        found = [self._by(probe) for probe in PROBES.get(need, ())]
        if not found:
            return _unknown(f"nobody knows how to look for {need}")
        for known in (Known.OFFERED, Known.UNKNOWN):
            if told := next((offer for offer in found if offer.known is known), None):
                return told
        return _absent("; ".join(offer.reason for offer in found))

    @property
    def _extensions(self) -> Mapping[str, Callable[[], Offer]]:
        """Those that no single request shows, and how each is looked for."""
        return {
            "one_model": self._one_model,
            "counters": self._counters,
            "cache_counters": self._cache_counters,
            "preemptions": self._preemptions,
            "thinking_off": self._thinking_off,
            "thinking_budget": self._thinking_budget,
        }

    def _by(self, probe: _Probe) -> Offer:
        try:
            answer = self.client.post(probe.path, self.client.body(**probe.body))
            body = answer.json() if answer.status == 200 else None
        except CheckFailed as exc:
            return _unknown(str(exc))
        if answer.status in _REFUSED and not _names_model(answer):
            return _absent(f"{answer.what} answers {answer.status} to {_words(probe)}: {answer.body_text[:_SHOWN]}")
        if body is None:
            return _unknown(f"{answer.what} answers {answer.status} to {_words(probe)}: {answer.body_text[:_SHOWN]}")
        if probe.shows(body):
            return _offered(f"{answer.what} answers {_words(probe)}")
        if probe.field and self._field(probe.field, of=(probe.path,)).known is Known.OFFERED:
            return _offered(f"its OpenAPI document names {probe.field}")
        return _absent(f"{answer.what} answers {_words(probe)} as if it had not been asked for it")

    def _thinking_off(self) -> Offer:
        """Whether the model can be told not to think: the template makes another prompt of the same messages then."""
        way = ", ".join(OFF)
        try:
            plain, off = (self.client.post(CHATS, self.client.body(**_ASK, **more)) for more in ({}, OFF))
            if off.status in _REFUSED:
                return _absent(f"{off.what} answers {off.status} to a request with {way}: {off.body_text[:_SHOWN]}")
            counts = [_at(answer.require(200).json(), "usage", "prompt_tokens") for answer in (plain, off)]
        except CheckFailed as exc:
            return _unknown(str(exc))
        if None in counts:
            return _unknown(f"usage does not tell whether {way} changes the prompt")
        told = f"{way} makes a prompt of {counts[0]} tokens one of {counts[1]}"
        return _offered(told) if counts[0] != counts[1] else _absent(f"{told}: it changes nothing")

    def _thinking_budget(self) -> Offer:
        """Whether it takes a budget for thinking: an engine names the field also where it refuses it for its model."""
        named = self._field(BUDGET)
        if named.known is not Known.OFFERED:
            return named
        try:
            answer = self.client.post(CHATS, self.client.body(**_ASK, **{BUDGET: 1}))
        except CheckFailed as exc:
            return _unknown(str(exc))
        if answer.status in _REFUSED:
            return _absent(f"{answer.what} answers {answer.status} to a request with {BUDGET}: {answer.body_text[:_SHOWN]}")
        return named

    def _route(self, path: str) -> Offer:
        if path in _paths(self.document[0]):
            return _offered(f"its OpenAPI document lists {path}")
        try:
            status = self.client.get(path).status
        except CheckFailed as exc:
            return _unknown(str(exc))
        if status in (404, 501):
            return _absent(f"GET {path} answers {status}")
        # Of a path that takes other methods only, GET is told so.
        return _offered(f"GET {path} answers {status}") if status in (200, 405) else _unknown(f"GET {path} answers {status}")

    def _one_model(self) -> Offer:
        """Whether a model can be asked for by its name; a page that answers every path is no such route."""
        if path := next(
            (path for path, operations in _paths(self.document[0]).items() if _is_of_one_model(path, operations)), ""
        ):
            return _offered(f"its OpenAPI document lists {path}")
        try:
            answer = one_model(self.client, self.client.model)
        except CheckFailed as exc:
            return _unknown(str(exc))
        if answer.status in _ABSENT:
            return _absent(f"{answer.what} answers {answer.status}")
        if answer.status != 200:
            return _unknown(f"{answer.what} answers {answer.status}: {answer.body_text[:_SHOWN]}")
        try:
            answer.json()
        except CheckFailed:
            return _absent(f"{answer.what} answers what is no JSON: {answer.body_text[:_SHOWN]}")
        return _offered(f"{answer.what} answers 200")

    def _counters(self) -> Offer:
        """Whether it counts its requests and tokens on /metrics, under names that are known."""
        try:
            answer = self.client.get("/metrics")
        except CheckFailed as exc:
            return _unknown(str(exc))
        if answer.status in (401, 403, 404, 405, 501):
            return _absent(f"GET /metrics answers {answer.status}")
        if answer.status != 200:
            return _unknown(f"GET /metrics answers {answer.status}")
        if names := names_in(answer.body_text):
            return _offered(f"its /metrics has the counters of {names.engine}")
        return _absent("its /metrics has none of the counters of vLLM or SGLang")

    def _cache_counters(self) -> Offer:
        """Whether it counts the prompt tokens that came from its prefix cache."""
        counters = self("extension:counters")
        if counters.known is not Known.OFFERED:
            return counters
        try:
            counts = read(self.client).counts_cached
        except CheckFailed as exc:
            return _unknown(str(exc))
        told = "how many prompt tokens came from its prefix cache"
        return _offered(f"its /metrics counts {told}") if counts else _absent(f"its /metrics does not count {told}")

    def _preemptions(self) -> Offer:
        """Whether requests can fill its cache in a reasonable time, and it tells how often one is set aside then."""
        counters = self("extension:counters")
        if counters.known is not Known.OFFERED:
            return counters
        try:
            tokens = read(self.client).cache_tokens
        except CheckFailed as exc:
            return _unknown(str(exc))
        if tokens is None:
            return _absent("its /metrics does not tell how many tokens its cache holds")
        if tokens > FILLED_AT_MOST:
            return _absent(f"not brought about: its cache holds {tokens} tokens, and a check fills {FILLED_AT_MOST} at most")
        return _offered(f"its cache holds {tokens} tokens")

    def _field(self, name: str, *, of: Sequence[str] = (COMPLETIONS, CHATS)) -> Offer:
        """Whether requests to any of these routes have it."""
        document, read = self.document
        if read.known is not Known.OFFERED:
            return read
        if name in set(_request_fields(document, of)):
            return _offered(f"its OpenAPI document names {name}")
        return _absent(f"its OpenAPI document names no field {name} of a request to {' or '.join(of)}")

    @property
    def document(self) -> tuple[Any, Offer]:
        """The OpenAPI document, and whether there is one; {} where there is none."""
        if self._document is None:
            self._document = self._read_document()
        return self._document

    def _read_document(self) -> tuple[Any, Offer]:
        for path in _DOCUMENTS:
            try:
                answer = self.client.get(path)
                if answer.status == 200:
                    return answer.json(), _offered(f"{path} is there")
            except CheckFailed as exc:
                return {}, _unknown(str(exc))
            if answer.status not in _ABSENT:
                return {}, _unknown(f"GET {path} answers {answer.status}")
        return {}, _absent("it publishes no OpenAPI document, which alone tells of fields that OpenAI's reference does not have")


def _words(probe: _Probe) -> str:
    return f"a request with {probe.field}" if probe.field else f"a request with {', '.join(probe.body)}"


def _names_model(answer: Answer) -> bool:
    """Whether a refusal is about the model's name: then it says nothing of the route."""
    try:
        error = json.loads(answer.body_text).get("error") or {}
    except (ValueError, AttributeError):
        return False
    return isinstance(error, dict) and (error.get("param") == "model" or error.get("code") == "model_not_found")


def _paths(document: Any) -> Mapping[str, Any]:
    found = document.get("paths") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _is_of_one_model(path: str, operations: Any) -> bool:
    return bool(re.fullmatch(MODELS + r"/\{[^/{}]+\}", path)) and isinstance(operations, dict) and "get" in operations


def _request_fields(document: Any, of: Sequence[str]) -> Iterator[str]:
    """The names of all fields that the document gives requests to these routes."""
    for path in of:
        content = _at(_paths(document).get(path), "post", "requestBody", "content")
        for kind in content.values() if isinstance(content, dict) else ():
            yield from _properties(_at(kind, "schema"), document, depth=0)


_DEEPEST = 6


def _properties(schema: Any, document: Any, *, depth: int, within: bool = False) -> Iterator[str]:
    """Names of a schema's properties, and `name.part` of theirs; `within`: one of those."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _properties(_at(document, *reference.removeprefix("#/").split("/")), document, depth=depth + 1, within=within)
    named = schema.get("properties") or {}
    yield from named
    if not within:
        for name, inner in named.items():
            yield from (f"{name}.{part}" for part in _properties(inner, document, depth=depth + 1, within=True))
    for word in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(word) or ():
            yield from _properties(part, document, depth=depth + 1, within=within)
