"""Where clients must show something, what stands before the engine knows it, and the engine does not."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from hallmark.core.errors import UsageError
from hallmark.serving import option_values
from hallmark.serving.access_keys import Keys
from hallmark.serving.docker import daemon
from hallmark.serving.launchers import kind_named
from hallmark.serving.plan import LaunchSettings
from hallmark.serving.site import Site, TestbedSettings
from selftests.serving.test_plan import cell

KEY, SECRET = "key-of-the-clients", "a secret of forty bytes, for selftests!!"
ENVIRON = {"PATH": "/bin", "JWT_SECRET": SECRET, "GATEWAY_AUDIENCE": "models", "GATEWAY_ISSUER": "ci", "HF_TOKEN": "hf"}


def site(folder: Path, server: str, *, key: str = "", secret: str = "") -> Site:
    url = "http://127.0.0.1:8000" if server == "attach" else ""
    settings = TestbedSettings(
        server=server,
        launch=LaunchSettings(api_key=key, server_url=url, port=8123),
        server_python="/bin/sh",
        image="engine:1",
        jwt_secret=secret,
        environments=folder,
    )
    return kind_named(server).site_class()(cell(folder), settings, folder=folder, environ=ENVIRON, log=print)


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, SECRET, algorithms=["HS256"], options={"verify_aud": False}))


@pytest.mark.parametrize(("key", "secret"), [*itertools.product(["", KEY], ["", SECRET])])
def test_a_gateway_stands_before_the_engine_where_something_is_demanded(tmp_path: Path, key: str, secret: str) -> None:
    plan = site(tmp_path, "local", key=key, secret=secret).intended_plan(strict=True)
    assert plan.endpoint.base_url == "http://127.0.0.1:8123"
    if not (key or secret):
        assert (plan.gateway, plan.endpoint.api_key) == (None, "")
        assert "VLLM_API_KEY" not in plan.env
        return
    assert plan.gateway
    theirs, its = plan.gateway.env, plan.env
    assert (theirs.get("GATEWAY_API_KEYS", ""), theirs.get("JWT_SECRET", "")) == (key, secret)
    assert theirs["ENGINE_API_KEY"] == its["VLLM_API_KEY"] == plan.gateway.engine.api_key
    assert its["VLLM_API_KEY"] not in (key, plan.endpoint.api_key)
    assert not {key, secret, plan.endpoint.api_key} - {""} & set(its.values()), "the engine knows nothing of its clients"
    assert plan.gateway.engine.base_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(("labels", "closed"), [({"hallmark.engine.flavor": "cpu"}, True), ({"maintainer": "vllm"}, False)])
@pytest.mark.parametrize(("key", "secret"), [("", ""), (KEY, ""), ("", SECRET)])
def test_an_image_that_does_not_close_itself_gets_a_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: dict[str, str], closed: bool, key: str, secret: str
) -> None:
    monkeypatch.setattr(daemon, "image_facts", lambda image: {"name": image, "labels": labels})
    plan = site(tmp_path, "docker", key=key, secret=secret).plan()
    assert plan.endpoint.base_url == "http://127.0.0.1:8123"
    assert (plan.gateway is None) == (closed or not (key or secret))
    if plan.gateway:
        assert set(plan.env) & {"JWT_SECRET", "GATEWAY_API_KEYS"} == set()
        assert plan.env["VLLM_API_KEY"] == plan.gateway.engine.api_key
        assert plan.gateway.engine.base_url != plan.endpoint.base_url
    elif key or secret:
        assert (plan.env.get("GATEWAY_API_KEYS", ""), plan.env.get("JWT_SECRET", "")) == (key, secret)
        assert "VLLM_API_KEY" not in plan.env
    assert plan.env["HF_TOKEN"] == "hf"


@pytest.mark.parametrize("server", ["local", "attach"])
def test_a_token_says_what_the_gateways_variables_ask_for_and_ends(tmp_path: Path, server: str) -> None:
    """With a server of ours; after a week where it is somebody else's, whose gateway knows no name of ours."""
    plan = site(tmp_path, server, secret=SECRET).intended_plan(strict=True)
    said = claims(plan.endpoint.api_key)
    assert (said["aud"], said["iss"]) == ("models", "ci")
    if server == "local":
        assert plan.gateway
        assert "exp" not in said
        assert said["hallmark_server"] == plan.gateway.env["GATEWAY_SERVER_ID"]
        another = site(tmp_path, server, secret=SECRET).intended_plan(strict=True).endpoint.api_key
        assert said["hallmark_server"] != claims(another)["hallmark_server"]
    else:
        assert "hallmark_server" not in said
        assert 6 * 86400 < said["exp"] - time.time() <= 7 * 86400


def test_what_is_weak_is_told() -> None:
    def told(key: str, secret: str) -> str:
        return " ".join(Keys.of(key, secret, server="", environ={}).doubts())

    assert told("k" * 16, "s" * 32) == told("", "") == ""
    assert "can be guessed" in told("k" * 15, "")
    assert "found from any one token" in told("", "s" * 31)


def test_a_short_secret_is_taken_where_that_is_said() -> None:
    option_values.secrets({"JWT_SECRET": "s" * 31, "GATEWAY_INSECURE": "yes"}, server="local")
    with pytest.raises(UsageError, match="GATEWAY_INSECURE=yes takes this one"):
        option_values.secrets({"JWT_SECRET": "s" * 31, "GATEWAY_INSECURE": "no"}, server="local")


def test_a_key_with_a_comma_is_another_server_s_own_business() -> None:
    option_values.secrets({"HALLMARK_API_KEY": "one,two"}, server="attach")
