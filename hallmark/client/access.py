"""Does a server that demands a key let anybody in without it? Asks it everything that engines are known to answer.

What a server does not refuse, it has read: 401 and 403 close a route, and so does the answer that a path gets which is not
there. Everything else is an opening - an answer, and also a complaint about the body (422) or a breakdown (500).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from hallmark.client.credentials import NONE, WRONG, Credential, elsewhere, in_queries, near_misses, spellings
from hallmark.client.routes import OPEN, Route, Use, body_for, known_routes, routes
from hallmark.client.wire import Answer, WireClient

_REFUSED = frozenset({401, 403})
_LED_NOWHERE = frozenset({301, 302, 303, 307, 308, 400, 404, 405, 414, 421})
"""What a path in odd spelling may be answered with: none of it ran the model."""
_CONTENT = re.compile(r'"(choices|usage|completion_tokens|total_tokens|output_tokens|generated_text|token_ids|embedding)" *:')
"""What only an answer has that was computed."""
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_COUNTS = ("x-generated-tokens", "x-prompt-tokens")
_DOCUMENTS = ("/openapi.json", "/api-doc/openapi.json")
_HIDDEN = ("/invocations", "/generate")
"""Asked for in every spelling, also where they are not there by their plain names."""


@dataclass(slots=True)
class Openings:
    """What was found."""

    asked: int = 0
    """Requests that did not show the key as it should be."""
    found: list[str] = field(default_factory=list)
    """Each that got in, or that learnt what only an answer tells: `POST /invocations without a key: 200`."""
    open_on_purpose: list[str] = field(default_factory=list)
    also_taken: list[str] = field(default_factory=list)
    """Other places in which the key itself counts."""

    def summary(self, most: int = 8) -> str:
        more = f"; and {len(self.found) - most} more" if len(self.found) > most else ""
        return "; ".join(self.found[:most]) + more


def walk(client: WireClient, key: str) -> Openings:
    """Everything that somebody without `key` may try at the server of `client` (which has it)."""
    return _Walk(client, key).whole()


class _Walk:
    def __init__(self, client: WireClient, key: str) -> None:
        self._client = client
        self._key = key
        self._openings = Openings()
        self._open: set[str] = set()
        """The routes that anybody may use."""
        self._nowhere = {method: [self._nothing(method) for _ in range(2)] for method in ("GET", "POST")}
        """Status and text by which paths are answered that are not there."""

    def whole(self) -> Openings:
        for route in routes(self._document()):
            if not self._try(route, NONE):
                self._open.add(str(route))  # what else would open it is no matter
            else:
                self._try(route, WRONG)
        for route in self._at_work():
            self._try_hard(route)
        for route in (Route(method="POST", path=path, use=Use.RUNS) for path in _HIDDEN):
            if str(route) not in self._open:
                self._try_spellings(route)
        self._openings.open_on_purpose = [path for path in OPEN if self._ask("GET", path, NONE).status == 200]
        return self._openings

    # -- asking

    def _ask(self, method: str, path: str, credential: Credential, *, target: bytes = b"", body: object = None) -> Answer:
        return self._client.ask(method, path, credential, target=target, body=body)

    def _nothing(self, method: str) -> tuple[int, str]:
        path = f"/no-such-route-{uuid.uuid4().hex}"
        answer = self._ask(method, path, NONE, body={} if method == "POST" else None)
        return answer.status, answer.body_text.replace(path, "")

    def _document(self) -> object:
        """What the server says that it serves; None where it does not."""
        for path in _DOCUMENTS:
            answer = self._client.get(path)
            if answer.status == 200 and answer.body_text.startswith("{"):
                return answer.json()
        return None

    def _at_work(self) -> Iterator[Route]:
        """Those closed ones that answer the one who has the key. Nobody knows what a route would do that is only listed."""
        for route in known_routes():
            if route.use is Use.CHANGES or (route.use is Use.TELLS and route.path != "/v1/models") or str(route) in self._open:
                continue
            body = body_for(route, self._client.model)
            answer = self._client.get(route.path) if body is None else self._client.post(route.path, body)
            if answer.status == 200:
                yield route

    # -- trying

    def _try(self, route: Route, credential: Credential, *, also: Container[int] = ()) -> bool:
        """Whether it is closed; `also` by these statuses, besides those of a refusal."""
        answer = self._ask(route.method, route.path, credential, body=body_for(route, self._client.model))
        closed = answer.status in _REFUSED or answer.status in also or self._is_nowhere(route, answer)
        self._judge(f"{route} {credential.name}", answer, closed=closed)
        return closed

    def _try_hard(self, route: Route) -> None:
        body = body_for(route, self._client.model)
        for credential in (*near_misses(self._key), *in_queries(self._key)):
            # 400 can only be about the header: with the key, the same body was answered.
            self._try(route, credential, also={400})
        if body is not None:
            answer = self._ask(route.method, route.path, NONE, body={**body, "stream": True})
            self._judge(f"{route} as a stream without a key", answer, closed=answer.status in _REFUSED)
        self._try_spellings(route)
        self._try_methods(route)
        for credential in elsewhere(self._key):
            if self._ask(route.method, route.path, credential, body=body).status == 200:
                self._openings.also_taken.append(f"{route} {credential.name}")

    def _try_spellings(self, route: Route) -> None:
        for name, target in spellings(route.path):
            answer = self._ask(route.method, route.path, NONE, target=target, body=body_for(route, self._client.model))
            self._judge(f"{route} {name} without a key", answer, closed=answer.status in _REFUSED | _LED_NOWHERE)

    def _try_methods(self, route: Route) -> None:
        for method in _METHODS:
            if method == route.method:
                continue
            answer = self._ask(method, route.path, NONE, body=body_for(route, self._client.model))
            # A browser asks by OPTIONS, before it shows its key, whether it may.
            closed = answer.status in _REFUSED | _LED_NOWHERE or (method == "OPTIONS" and answer.status in (200, 204))
            self._judge(f"{method} {route.path} without a key", answer, closed=closed)

    # -- judging

    def _is_nowhere(self, route: Route, answer: Answer) -> bool:
        """Whether the route is answered as a path that is not there."""
        if answer.status == 405:
            return True
        (status, text), (_, again) = self._nowhere["GET" if route.method == "GET" else "POST"]
        steady = text == again  # else it holds the time, say, and tells nothing
        return answer.status == status and (not steady or answer.body_text.replace(route.path, "") == text)

    def _judge(self, what: str, answer: Answer, *, closed: bool) -> None:
        self._openings.asked += 1
        if not closed:
            self._openings.found.append(f"{what}: {answer.status}")
        elif _CONTENT.search(answer.body_text) or any(name in answer.headers for name in _COUNTS):
            self._openings.found.append(f"{what}: {answer.status}, with what only an answer tells")
