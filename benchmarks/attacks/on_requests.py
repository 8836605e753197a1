"""Attacks on the gateway by what one request says: hidden requests, too much of something, tokens that are none."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from functools import partial
from typing import Any

import jwt

from benchmarks.attacks.staging import Outcome, Stage, attack
from hallmark.core.keys import TokenRules
from hallmark.core.tokens import sign_token
from selftests.gateway.gateways import SECRET, Running
from selftests.gateway.scripted import scripted
from selftests.gateway.smuggling import CHUNKED, EXCESSIVE, HIDDEN, HIDING, START

OTHER = "another secret of the same length, 40 b."
SHORT = "short-secret"


def hides(request: bytes, stage: Stage) -> Outcome:
    front, engine = stage.front()
    answer = front.raw(request)
    answers = answer.count(b"HTTP/1.1 ")
    return Outcome(
        answer.startswith(b"HTTP/1.1 400") and answers == 1 and not engine.seen,
        f"{answers} answer, {answer[9:12].decode() or 'none'}; the engine saw {len(engine.seen)} requests",
    )


def wants_too_much(request: bytes, refused: tuple[int, str], stage: Stage) -> Outcome:
    front, engine = stage.front()
    with front.connect() as connection:
        connection.settimeout(3)
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        status = "no answer"
        with contextlib.suppress(TimeoutError):
            status = connection.recv(65_536)[9:12].decode()
    right = status == str(refused[0])
    return Outcome(right and not engine.seen, f"{status}; the engine saw {len(engine.seen)} requests")


MORE_HIDING = {
    "two Host headers": b"GET /v1/models HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + HIDDEN,
    "no Host header": b"GET /v1/models HTTP/1.1\r\n\r\n" + HIDDEN,
    "two Authorization headers": START + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n" + HIDDEN,
    "a negative length": START + b"Content-Length: -1\r\n\r\n" + HIDDEN,
    "a length with a sign": START + b"Content-Length: +35\r\n\r\n" + HIDDEN,
    "a chunk size in 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a NUL in a chunk extension": CHUNKED + b"3;a=\x00\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a bare LF in a chunk extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a request in the trailer": CHUNKED + b"0\r\n" + HIDDEN,
    "chunks in HTTP/1.0": b"POST /v1/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "an encoded path that climbs": b"GET /v1/%2e%2e/metrics HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
    "a tunnel (CONNECT)": b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN,
}
for _name, _request in {**HIDING, **MORE_HIDING}.items():
    attack("gateway", f"hidden request: {_name}", "400, and the engine hears of nothing")(partial(hides, _request))
for _name, (_request, _refused) in EXCESSIVE.items():
    attack("gateway", f"too much: {_name}", f"{_refused[0]}, and the engine hears of nothing")(
        partial(wants_too_much, _request, _refused)
    )


@attack("gateway", "headers that speak for others", "the engine gets one address and one id, both the gateway's")
def forged_headers(stage: Stage) -> Outcome:
    front, engine = stage.front()
    lines = ("Host: evil", "X-Forwarded-For: 10.9.9.9", "Forwarded: for=10.9.9.9", "X-Request-Id: a b\tc")
    lines = (*lines, "Connection: close, x-extra", "X-Extra: 1")
    front.raw("\r\n".join(["GET /v1/models HTTP/1.1", *lines, "", ""]).encode())
    seen = engine.seen[0].lower() if engine.seen else b""
    passed = [word for word in (b"10.9.9.9", b"a b\tc", b"x-extra", b"evil") if word in seen]
    return Outcome(bool(seen) and not passed, f"{len(passed)} of 4 forged values reached the engine")


# -- tokens


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def tokens() -> dict[str, str]:
    """Authorization headers that prove nothing, by what is wrong with each."""
    soon = int(time.time()) + 600
    good = sign_token(SECRET)
    head, claims, signature = good.split(".")
    return {
        "none": "",
        "an empty one": "Bearer",
        "another scheme": f"Basic {good}",
        "the secret itself": f"Bearer {SECRET}",
        "alg=none": f"Bearer {_segment({'alg': 'none', 'typ': 'JWT'})}.{_segment({'sub': 'x', 'exp': soon})}.",
        "alg=none with a signature": f"Bearer {_segment({'alg': 'none', 'typ': 'JWT'})}.{claims}.{signature}",
        "alg=HS512 by the same secret": "Bearer " + jwt.encode({"sub": "x", "exp": soon}, SECRET, algorithm="HS512"),
        "another secret": "Bearer " + sign_token(OTHER),
        "other claims under a good signature": f"Bearer {head}.{_segment({'sub': 'root', 'exp': soon})}.{signature}",
        "a signature cut short": f"Bearer {good[:-1]}",
        "an expired one": "Bearer " + sign_token(SECRET, lifetime_s=60, now_s=lambda: time.time() - 61),
        "one without an end": "Bearer " + jwt.encode({"sub": "x"}, SECRET, algorithm="HS256"),
        "one that begins later": "Bearer " + jwt.encode({"sub": "x", "exp": soon, "nbf": soon}, SECRET, algorithm="HS256"),
        "one of another server's start": "Bearer "
        + sign_token(SECRET, lifetime_s=None, rules=TokenRules(server="another-server")),
    }


def statuses(front: Running, headers: dict[str, str], path: str = "/v1/models") -> list[int]:
    """Of one request with each header."""
    with front.client("") as client:
        return [client.get(path, headers={"authorization": header} if header else {}).status_code for header in headers.values()]


@attack("gateway", "tokens that prove nothing", "401 for each, on each path; the engine hears of nothing")
def bad_tokens(stage: Stage) -> Outcome:
    with scripted() as engine, stage.gateway(engine.url, GATEWAY_SERVER_ID="this-server") as front:
        found = [s for path in ("/v1/models", "/metrics", "/invocations") for s in statuses(front, tokens(), path)]
        refused, seen = found.count(401), len(engine.seen)
    return Outcome(refused == len(found) and not seen, f"{refused} of {len(found)} refused; the engine saw {seen} requests")


@attack("gateway", "tokens of another audience or issuer", "401 for each that is not of both")
def other_audience(stage: Stage) -> Outcome:
    right = TokenRules(audience="models", issuer="https://id.example")
    wrong = [TokenRules(), TokenRules(audience="models"), TokenRules(issuer=right.issuer)]
    wrong += [TokenRules(audience="models2", issuer=right.issuer), TokenRules(audience="models", issuer=right.issuer + ".evil")]
    asked = {str(number): "Bearer " + sign_token(SECRET, rules=rules) for number, rules in enumerate([right, *wrong])}
    demanded = {"GATEWAY_AUDIENCE": right.audience, "GATEWAY_ISSUER": right.issuer}
    with scripted() as engine, stage.gateway(engine.url, **demanded) as front:
        first, *others = statuses(front, asked)
    refused = others.count(401)
    return Outcome(first == 200 and refused == len(others), f"{refused} of {len(others)} refused, the right one {first}")


@attack("gateway", "keys that are nearly right", "401 for each")
def near_misses(stage: Stage) -> Outcome:
    key = "key-of-24-characters-abc"
    near = [
        key[:-1],
        key + "a",
        key.upper(),
        key[::-1],
        "K" + key[1:],
        f"{key},other",
        f'"{key}"',
        key[:12],
        f"{key} x",
        key + "\t\tx",
    ]
    with scripted() as engine, stage.gateway(engine.url, JWT_SECRET="", GATEWAY_API_KEYS=key) as front:
        first, *others = statuses(front, {one: f"Bearer {one}" for one in [key, *near]})
        asked = front.client("").get(f"/v1/models?api_key={key}").status_code
    refused = [*others, asked].count(401)
    return Outcome(first == 200 and refused == len(near) + 1, f"{refused} of {len(near) + 1} refused, the right one {first}")


@attack("gateway", "a secret that can be guessed from a token", "the gateway does not start with it, and does not show it")
def short_secret(stage: Stage) -> Outcome:
    try:
        with stage.gateway("http://127.0.0.1:9", JWT_SECRET=SHORT):
            return Outcome(False, "it started")
    except RuntimeError as exc:
        said = str(exc)
    return Outcome("ended with 2" in said and SHORT not in said, said.split(": ")[0].replace("the gateway ", ""))


@attack("gateway", "a secret in a request's path and query", "the log does not hold it")
def secret_in_log(stage: Stage) -> Outcome:
    with scripted() as engine, stage.gateway(engine.url) as front:
        with front.client() as client:
            client.get(f"/v1/models/hf_0123456789abcdefghij?key={SECRET}", headers={"x-api-key": SECRET})
        front.process.terminate()
        front.process.wait(10)
        shown = [word for word in (SECRET, "hf_0123456789abcdefghij", "eyJ") if word in front.log]
    return Outcome(not shown, f"{len(shown)} of 3 secrets in the log")
