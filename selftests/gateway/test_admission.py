"""Who may ask: 401 in OpenAI's form for no token, another one, an expired one; and no secret in any log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hallmark.core.keys import TokenRules
from hallmark.core.tokens import DAY_S, sign_token
from hallmark_services.gateway.admission import Admission
from hallmark_services.gateway.heads import RequestHead, parse_request_head
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import Settings
from selftests.core.polling import comes_true
from selftests.faulty import MODEL, running
from selftests.gateway.gateways import SECRET, Running, gateway
from selftests.gateway.scripted import Engine, scripted

OTHER = "another secret of the same length, 40 b."
ASK = {"model": MODEL, "prompt": "1+1=", "max_tokens": 4, "temperature": 0}


def test_a_good_token_is_let_in(served: Running) -> None:
    with served.client() as client:
        assert client.post("/v1/completions", json=ASK).json()["choices"][0]["text"] == "2"


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "no token"),
        ({"authorization": "Bearer"}, "no token"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "no token"),
        ({"authorization": sign_token(SECRET)}, "no token"),
        ({"authorization": f"Bearer {SECRET}"}, "no signed token"),
        ({"authorization": "Bearer " + sign_token(OTHER)}, "another secret"),
        ({"authorization": "Bearer " + sign_token(SECRET, lifetime_s=60, now_s=lambda: time.time() - 90)}, "the token expired"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/completions", "/v1/models", "/nowhere"])
def test_every_other_is_refused_and_told_why(served: Running, path: str, headers: dict[str, str], why: str) -> None:
    answer = httpx.post(served.url + path, headers=headers, json=ASK, trust_env=False)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (401, "authentication_error")
    assert why in error["message"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_expires_while_a_connection_stays(served: Running) -> None:
    """Each request is looked at by itself."""
    with served.client(sign_token(SECRET, lifetime_s=60)) as client:
        assert client.get("/v1/models").status_code == 200
        old = sign_token(SECRET, lifetime_s=60, now_s=lambda: time.time() - 61)
        assert client.get("/v1/models", headers={"authorization": f"Bearer {old}"}).status_code == 401


def test_a_refused_client_that_sends_much_still_reads_why(served: Running) -> None:
    """It is answered before its body is read; the connection is not cut under it."""
    answer = httpx.post(served.url + "/v1/completions", content=b"x" * 20_000_000, trust_env=False, timeout=20)
    assert answer.status_code == 401


@pytest.fixture
def keyed_engine() -> Iterator[Engine]:
    with scripted() as engine:
        yield engine


def test_plain_keys_and_tokens_beside_each_other(keyed_engine: Engine, tmp_path: Path) -> None:
    """And the engine gets its own key, never the client's token."""
    keys = {"GATEWAY_API_KEYS": "key-number-one, key-number-two", "ENGINE_API_KEY": "key-of-the-engine"}
    with gateway(keyed_engine.url, tmp_path, **keys) as front:
        for token, status in (("key-number-two", 200), (None, 200), ("key-number-three", 401), ("key-number-one,", 401)):
            with front.client(token) as client:
                assert client.get("/v1/models").status_code == status, token
        assert httpx.get(front.url + "/version", trust_env=False).json()["auth"] == "jwt+api-key"
        log = front.log
    assert len(keyed_engine.seen) == 2
    for seen in keyed_engine.seen:
        assert seen.lower().count(b"authorization:") == 1
        assert b"authorization: Bearer key-of-the-engine\r\n" in seen
    assert not [secret for secret in (*keys.values(), SECRET, "key-number", "eyJ") if secret in log]


@pytest.mark.e2e
def test_without_a_secret_the_door_is_open_and_the_log_says_so(tmp_path: Path) -> None:
    """The engine's own key is then the client's to send."""
    with running(api_key="key-of-the-engine") as engine, gateway(engine.base_url, tmp_path, JWT_SECRET="") as front:
        assert "whoever reaches this port" in front.log
        with front.client("key-of-the-engine") as client:
            assert client.get("/v1/models").status_code == 200
        with front.client("another") as client:
            assert client.get("/v1/models").status_code == 401


@pytest.mark.e2e
def test_a_secret_in_a_request_is_not_logged(tmp_path: Path) -> None:
    with gateway("http://127.0.0.1:9", tmp_path) as front:
        with front.client() as client:
            client.get(f"/v1/models/hf_0123456789abcdefghij?key={SECRET}")
        assert comes_true(lambda: "/v1/models/[redacted]" in front.log)
        assert SECRET not in front.log


@pytest.mark.e2e
def test_a_short_secret_is_refused_unless_that_is_said(tmp_path: Path) -> None:
    refused = "ended with 2: gateway: JWT_SECRET: the secret is shorter than 32 bytes"
    with (
        pytest.raises(RuntimeError, match=refused) as caught,
        gateway("http://127.0.0.1:9", tmp_path, JWT_SECRET="short-secret"),
    ):
        pass
    assert "short-secret" not in str(caught.value)
    with gateway("http://127.0.0.1:9", tmp_path, JWT_SECRET="short-secret", GATEWAY_INSECURE="yes") as front:
        assert "shorter than 32 bytes" in front.log
        assert "short-secret" not in front.log


@pytest.mark.e2e
def test_audience_and_issuer_are_demanded_where_the_settings_say_so(keyed_engine: Engine, tmp_path: Path) -> None:
    right = TokenRules(audience="models", issuer="https://id.example")
    shown = {
        "": right,
        "does not say 'aud'": TokenRules(issuer=right.issuer),
        "another audience": replace(right, audience="other-models"),
        "does not say 'iss'": TokenRules(audience=right.audience),
        "another issuer": replace(right, issuer="https://id.example.evil"),
    }
    with gateway(keyed_engine.url, tmp_path, GATEWAY_AUDIENCE=right.audience, GATEWAY_ISSUER=right.issuer) as front:
        for why, rules in shown.items():
            with front.client(sign_token(SECRET, rules=rules)) as client:
                answer = client.get("/v1/models")
                assert (answer.status_code, why in answer.text) == (401 if why else 200, True), why


def test_a_token_for_one_server_ends_with_it_and_not_before() -> None:
    """Ten years on, by the gateway's own clock, and before another server that has the same secret."""
    token = sign_token(SECRET, lifetime_s=None, rules=TokenRules(server="this-one"))
    head = parse_request_head(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + token.encode())

    def admission(server_id: str) -> Admission:
        settings = Settings(jwt_secret=SECRET, server_id=server_id)
        return Admission(settings, now_s=lambda: time.time() + 10 * 365 * DAY_S)

    admission("this-one").check(head)
    for other in ("that-one", ""):
        with pytest.raises(Refusal, match="ended with the server"):
            admission(other).check(head)


def test_a_token_that_was_taken_before_is_refused_once_it_has_ended() -> None:
    """Its signature is remembered; its end is asked for at each request."""
    now = [1000.0]
    admission = Admission(Settings(jwt_secret=SECRET), now_s=lambda: now[0])

    def head(secret: str, subject: str = "ci") -> RequestHead:
        token = sign_token(secret, subject=subject, lifetime_s=60, now_s=lambda: 1000.0)
        return parse_request_head(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + token.encode())

    for second in (0, 30, 59):
        now[0] = 1000.0 + second
        admission.check(head(SECRET))
    with pytest.raises(Refusal, match="another secret"):
        admission.check(head(OTHER))
    now[0] = 1060.0
    with pytest.raises(Refusal, match="expired"):
        admission.check(head(SECRET))


def test_no_more_than_a_thousand_tokens_are_remembered() -> None:
    admission = Admission(Settings(jwt_secret=SECRET))
    for number in range(1100):
        token = sign_token(SECRET, subject=str(number))
        admission.check(parse_request_head(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + token.encode()))
    assert len(admission._signed) == 1024
