"""The gateway's log: JSON lines where they are asked for, the access log's among them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hallmark.core.tokens import sign_token
from selftests.core.polling import comes_true
from selftests.gateway.gateways import SECRET, gateway

pytestmark = pytest.mark.e2e


def test_each_line_is_a_json_object_with_what_was_measured_in_fields_of_its_own(tmp_path: Path) -> None:
    token = sign_token(SECRET)
    with gateway("http://127.0.0.1:9", tmp_path, LOG_FORMAT="json") as front, front.client(token) as client:
        client.get(f"/v1/{token}?q=private", headers={"x-request-id": "find-me"})
        assert comes_true(lambda: "find-me" in front.log)
        lines = [json.loads(line) for line in front.log.splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    [access] = [line for line in lines if line.get("request_id") == "find-me"]
    assert (access["method"], access["client"], access["path"]) == ("GET", "127.0.0.1", "/v1/[redacted]")
    assert access["status"] in (502, 503)
    assert access["bytes"] > 0
    assert access["seconds"] > 0
    assert not any(word in json.dumps(lines) for word in (token, "private"))
