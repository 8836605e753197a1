"""One HTTP client for one endpoint: says exactly what was sent, and turns every broken connection into CheckFailed."""

from __future__ import annotations

import json
import shlex
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.credentials import Credential
from hallmark.client.deadlines import AFTER_DONE_S, Deadline, OneConnectionEach, Patience, with_deadline
from hallmark.client.errors import ConnectionLost, NoAnswerInTime, StreamBroken
from hallmark.client.exchanges import LONGEST_ANSWER, LONGEST_REQUEST, MOST, body_of, exchange_of, shown_headers
from hallmark.client.sse import json_events, typed_events
from hallmark.client.strict_json import read_json
from hallmark.core.errors import CheckFailed
from hallmark.core.redact import MASK

STATUS, JSON = "status", "json"
"""Names of the rules that an answer is held to here (`rules.py`)."""
_SHOWN = 300
_PASTED = 2000
"""So many bytes of a request's body stand in a curl line; one of megabytes is told by its length."""
_SENT = "http11.send_request_body.complete"
"""What httpcore calls the moment at which a request is out."""
_ANSWERED = 1000
"""So many characters of an answer are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it went out, for reports; never holds the API key."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes = b""

    def curl(self) -> str:
        """A line that a person can paste (the key, if there is one, is read from $API_KEY)."""
        words = ["curl", "-sS", "-X", self.method, shlex.quote(self.url)]
        for name, value in self.headers:
            # Double quotes, so that the shell fills in $API_KEY; no other header needs the shell.
            words += ["-H", '"authorization: Bearer $API_KEY"' if name == "authorization" else shlex.quote(f"{name}: {value}")]
        if len(self.content) > _PASTED:
            beginning = _shell_quote(self.content[: _PASTED // 10])
            return " ".join([*words, "--data-binary", beginning, f"# ... {len(self.content)} bytes in all"])
        if self.content:
            words += ["--data-binary", _shell_quote(self.content)]
        return " ".join(words)

    def to_plain(self) -> dict[str, Any]:
        """As it is written down; a long body is cut, and says so."""
        body = body_of(self.content, most=LONGEST_REQUEST)
        return {"method": self.method, "url": self.url, "headers": dict(self.headers), "body": body}


def _shell_quote(content: bytes) -> str:
    try:
        return shlex.quote(content.decode("utf-8"))
    except UnicodeDecodeError:
        # Bytes that are no text, on purpose: bash's ANSI-C quoting can hold them.
        return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in content) + "'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body_text: str
    """With a mark in the place of each byte that is no UTF-8."""
    sent: Sent
    elapsed_s: float = 0.0
    utf8: bool = True

    def json(self) -> Any:
        """The body as JSON, which is UTF-8 and knows no NaN; or CheckFailed."""
        if not self.utf8:
            why = f"{self.what} answered {self.status} with a body that is not UTF-8: {self.excerpt!r}"
            raise self.failure(why, rule={JSON: True})
        try:
            return read_json(self.body_text)
        except ValueError as exc:
            why = f"{self.what} answered {self.status} with a body that is not JSON ({exc}): {self.excerpt!r}"
            raise self.failure(why, rule={JSON: True}) from exc

    @property
    def what(self) -> str:
        return f"{self.sent.method} {httpx.URL(self.sent.url).path}"

    @property
    def excerpt(self) -> str:
        return self.body_text[:_SHOWN] + ("..." if len(self.body_text) > _SHOWN else "")

    def require(self, status: int = 200) -> Answer:
        """Itself, or CheckFailed when the status is another."""
        if self.status != status:
            why = f"{self.what} answered {self.status} instead of {status}: {self.excerpt}"
            raise self.failure(why, rule={STATUS: status})
        return self

    def curl(self) -> str:
        return self.sent.curl()

    def told(self) -> str:
        """Two lines for whoever wants to see it happen: the request to paste, and what came."""
        return f"request: {self.curl()}\nanswer: {self.status} {self.body_text[:_ANSWERED]}"

    def to_plain(self) -> dict[str, Any]:
        """As it is written down; a long body is cut, and says so."""
        body = body_of(self.body_text, most=LONGEST_ANSWER)
        told = {"status": self.status, "headers": shown_headers(self.headers), "body": body, "seconds": self.elapsed_s}
        return told if self.utf8 else told | {"utf8": False}

    def failure(self, why: str, *, rule: Mapping[str, Any] | None = None) -> WrongAnswer:
        """What to raise where this answer is wrong: `why`, and below it the request and the answer."""
        return WrongAnswer(f"{why}\n{self.told()}", answer=self, rule=rule or {})


class WrongAnswer(CheckFailed):
    """One answer is not what was asked for."""

    def __init__(self, message: str, *, answer: Answer, rule: Mapping[str, Any]) -> None:
        """`rule`: what the answer breaks, where that follows from the answer alone, such as `{"status": 200}` (`rules.py`)."""
        super().__init__(message)
        self.answer = answer
        self.rule = rule


class WireClient:
    """Speaks to one server. Paths are absolute (`/v1/models`); nothing is retried, redirected or repaired."""

    def __init__(
        self,
        base_url: str,
        model: str = "",
        *,
        api_key: str = "",
        timeout_s: float = 60.0,
        patience: Patience | None = None,
        watch: AnswerWatch | None = None,
    ) -> None:
        """`timeout_s`: how long each exchange may last, where `patience` does not say it for each. `watch` sees each answer."""
        self.base_url = base_url.rstrip("/")
        self.model = model
        self._api_key = api_key
        self._patience = patience or Patience(first_s=timeout_s, token_s=0.0)
        self.watch = watch
        self._requests: deque[httpx.Request] = deque(maxlen=MOST)
        self._http = httpx.Client(
            # A proxy or a .netrc of this machine must not come between the check and the server.
            trust_env=False,
            transport=OneConnectionEach(verify=not self.base_url.lower().startswith("http:")),
            headers={"accept-encoding": "identity"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def last_told(self) -> str:
        """The newest request of this client, and its answer where that was read whole; empty before the first one."""
        if not self._requests:
            return ""
        answer = exchange_of(self._requests[-1]).answer
        return answer.told() if isinstance(answer, Answer) else f"request: {self._sent(self._requests[-1]).curl()}"

    def exchanges(self, about: Answer | None = None) -> list[dict[str, Any]]:
        """The newest exchanges as plain data, the oldest first; in front the one that a failure is `about`, wherever it was."""
        rows = [self._plain(request, about) for request in tuple(self._requests)]
        if about and not any(row["about"] for row in rows):
            rows = [{"about": True, "request": about.sent.to_plain(), "answer": about.to_plain()}, *rows[1 - MOST :]]
        return rows

    def _plain(self, request: httpx.Request, about: Answer | None) -> dict[str, Any]:
        exchange = exchange_of(request)
        is_it = about is not None and exchange.answer is about
        row: dict[str, Any] = {"about": is_it, "request": self._sent(request).to_plain(), "answer": None}
        if isinstance(exchange.answer, Answer):
            row["answer"] = exchange.answer.to_plain()
        elif exchange.status:
            body = body_of(bytes(exchange.streamed), most=LONGEST_ANSWER)
            row["answer"] = {"status": exchange.status, "headers": shown_headers(exchange.headers), "body": body}
        return row | ({"lost": exchange.lost} if exchange.lost else {})

    @property
    def first_s(self) -> float:
        """How long a first token may take."""
        return self._patience.first_s

    def more_patient(self, wait_s: float) -> WireClient:
        """Another client of the same server, each of whose exchanges may last so long; to be closed."""
        return WireClient(self.base_url, self.model, api_key=self._api_key, timeout_s=wait_s)

    def body(self, **fields: Any) -> dict[str, Any]:
        """A request's body for the served model."""
        return {"model": self.model, **fields}

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return self._answer(self._request("GET", path, headers=headers))

    def head(self, path: str) -> Answer:
        return self._answer(self._request("HEAD", path))

    def post(
        self, path: str, body: Any = None, *, content: bytes | str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """POST `body` as JSON (NaN and all; None is sent as null), or `content` exactly as it is."""
        return self._answer(self._request("POST", path, content=_encoded(body, content), headers=headers), body)

    def by(self, method: str, path: str, body: Any = None) -> Answer:
        """The same by any method; without a body where it is None."""
        return self._answer(self._request(method, path, content=None if body is None else _encoded(body, None)), body)

    def ask(self, method: str, path: str, credential: Credential, *, body: Any = None, target: bytes = b"") -> Answer:
        """A request that shows `credential` and not the key; `target` stands in the place of the path, to the letter."""
        content = None if body is None else _encoded(body, None)
        where = path + (f"?{credential.query}" if credential.query else "")
        request = self._request(method, where, content=content, headers=credential.headers, keyed=False)
        if target:
            request.extensions["target"] = target
        return self._answer(request, body)

    def stream(
        self, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str] | None = None
    ) -> Generator[dict[str, Any], None, None]:
        """POST `body` and yield the JSON body of each event as it comes, up to `[DONE]`.

        Raises CheckFailed for a status other than 200, StreamBroken and its kinds for a bad stream. Closing the
        iterator early drops the connection, as a user who goes away does.
        """
        yield from self._stream(path, body, headers, json_events)

    def typed_stream(self, path: str, body: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """The same for `/v1/responses`, whose events have types, one of which ends the stream (`sse.typed_events`)."""
        yield from self._stream(path, body, None, typed_events)

    def _stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None, read: Callable[..., Iterator[dict[str, Any]]]
    ) -> Generator[dict[str, Any], None, None]:
        request = self._request("POST", path, content=_encoded(body, None), headers=headers)
        deadline = with_deadline(request, self._patience.of(body))
        events: list[dict[str, Any]] = []
        complete = False
        with self._watched(request, deadline):
            response = self._http.send(request, stream=True)
            try:
                if response.status_code != 200:
                    response.read()
                    self._read(response, request).require()
                kind = response.headers.get("content-type", "")
                if not kind.startswith("text/event-stream"):
                    raise StreamBroken(f"POST {path} asked for a stream and got content-type {kind!r}")
                for event in read(exchange_of(request).hear(response), on_done=lambda: deadline.all_is_there(AFTER_DONE_S)):
                    events.append(event)
                    yield event
                complete = True
            finally:
                response.close()
                if self.watch:
                    self.watch.stream(body, events, complete=complete, named=_names_itself(request))

    def give_up(self, path: str, body: Mapping[str, Any], *, after_s: float) -> Answer | None:
        """POST `body` and go away so long after it was sent, as users do who wait no longer; the answer, where it came before."""
        request = self._request("POST", path, content=_encoded(body, None))
        deadline = with_deadline(request, self._patience.of(body))

        def sent(event: str, _: object) -> None:
            if event == _SENT:
                deadline.end_in(after_s)

        request.extensions["trace"] = sent
        try:
            return self._send(request, deadline)
        except NoAnswerInTime:
            return None

    def _request(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        keyed: bool = True,
    ) -> httpx.Request:
        given = {k.lower(): v for k, v in (headers or {}).items()}
        if content is not None:
            given.setdefault("content-type", "application/json")
        if self._api_key and keyed:
            given.setdefault("authorization", f"Bearer {self._api_key}")
        # A header's bytes are Latin-1; httpx by itself would take ASCII alone.
        fields = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        return self._http.build_request(method, self.base_url + path, content=content, headers=fields)

    def _answer(self, request: httpx.Request, body: Any = None) -> Answer:
        answer = self._send(request, with_deadline(request, self._patience.of(body)))
        if self.watch and request.method == "POST" and answer.status == 200 and answer.body_text.startswith("{"):
            self.watch.whole(body, answer.body_text, named=_names_itself(request))
        return answer

    def _send(self, request: httpx.Request, deadline: Deadline) -> Answer:
        with self._watched(request, deadline):
            return self._read(self._http.send(request), request)

    def _read(self, response: httpx.Response, request: httpx.Request) -> Answer:
        answer = Answer(
            status=response.status_code,
            headers=dict(response.headers),
            body_text=response.content.decode("utf-8", errors="replace"),
            utf8=_is_utf8(response.content),
            sent=self._sent(request),
            elapsed_s=response.elapsed.total_seconds(),
        )
        exchange_of(request).answer = answer
        return answer

    def _sent(self, request: httpx.Request) -> Sent:
        shown = ("content-type", "authorization")
        content = request.read()
        url = str(request.url)
        if self._api_key:
            content = content.replace(self._api_key.encode(), MASK.encode())
            url = url.replace(self._api_key, MASK)
        headers = tuple((n, MASK if n == "authorization" else request.headers[n]) for n in shown if n in request.headers)
        return Sent(method=request.method, url=url, headers=headers, content=content)

    @contextmanager
    def _watched(self, request: httpx.Request, deadline: Deadline) -> Iterator[None]:
        what = f"{request.method} {request.url.path}"
        self._requests.append(request)
        try:
            yield
        except httpx.TimeoutException as exc:
            exchange_of(request).lost = deadline.told
            raise NoAnswerInTime(f"{what}: {deadline.told} ({type(exc).__name__})", waited_s=deadline.limit_s) from exc
        except httpx.RequestError as exc:
            exchange_of(request).lost = f"connection lost ({exc or type(exc).__name__})"
            raise ConnectionLost(f"{what}: connection lost ({exc or type(exc).__name__})") from exc


def _names_itself(request: httpx.Request) -> bool:
    return "x-request-id" in request.headers


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _encoded(body: Any, content: bytes | str | None) -> bytes:
    if content is None:
        return json.dumps(body).encode()
    return content.encode() if isinstance(content, str) else content
