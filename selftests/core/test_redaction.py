"""No secret reaches a file: planted by its variable's name, by its shape, and where JSON would disguise it."""

from __future__ import annotations

import html
import json
import os
import shlex
import urllib.parse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hallmark.core.files import write_json
from hallmark.core.records import Evidence, Record, RecordLog, read_records
from hallmark.core.redact import MASK, Redactor, is_secret_name
from hallmark.core.verdict import Verdict

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

SHAPES = {
    "hugging face": "hf_" + "aB3" * 8,
    "openai": "sk-" + "a1B2_" * 5,
    "openai project": "sk-proj-" + "a1B2-" * 5,
    "aws": "AKIA" + "ABCD1234" * 2,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl",
    "of a URL": "https://someone:open-sesame@index.example/simple",
}


def leak_everywhere(secret: str) -> Record:
    """A record that holds `secret` in every text that a server or a tool can fill."""
    found = Evidence(name=secret, value=secret, reason=secret, unit=secret, detail={secret: [secret, {"deep": secret}]})
    return Record(check="a", cell="c", kind="server", verdict=Verdict.FAIL, reason=f"x_{secret}_y", evidence=(found,), log=secret)


def written(folder: Path, secret: str, redactor: Redactor) -> str:
    log = RecordLog(folder / "records.jsonl", redactor)
    log.path.unlink(missing_ok=True)
    log.append(leak_everywhere(secret))
    write_json(folder / "plan.json", {secret: [secret, {"command": f"--key={secret}"}]}, redact=redactor)
    return log.path.read_text(encoding="utf-8") + (folder / "plan.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "JWT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "OPENAI_API_KEY",
        "HALLMARK_API_KEY",
        "db_password",
        "X_PASSWD",
        "MY_APIKEY",
        "token",
        "hfToken",
        "tokenString",
        "X-Auth-Token",
        "MODAL_TOKEN_ID",
        "GITHUB_TOKEN_2",
        "API_TOKENS",
        "AUTHORIZATION",
        "REDIS_PASS",
        "COSIGN_PASSPHRASE",
        "JWT_SIGNING_KEY",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ],
)
def test_a_variable_with_such_a_name_is_a_secret(tmp_path: Path, name: str) -> None:
    assert is_secret_name(name)
    text = written(tmp_path, "correct-horse-battery", Redactor.of_environment({name: "correct-horse-battery", "HOME": "/root"}))
    assert "correct-horse" not in text
    assert MASK in text


HARMLESS = [
    *("HOME", "PATH", "PWD", "VLLM_USE_V1", "KEYBOARD", "MESH_DEVICE", "BYPASS", "VLLM_PASS_CONFIG", "VLLM_KEY_CACHE"),
    *("VLLM_MAX_NUM_BATCHED_TOKENS", "MAX_TOKENS", "max_tokens", "tokens_per_s", "maxtokens", "VLLM_USE_FASTOKENS"),
    *("TOKENIZERS_PARALLELISM", "TOKENIZER", "tokenizer_mode", "TOKENISER_PATH", "VLLM_TOKENIZATION_WORKERS"),
    *("VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD", "long_prefill_token_threshold", "token_count", "TIME_PER_TOKEN_MS"),
]


@pytest.mark.parametrize("name", HARMLESS)
def test_an_ordinary_variable_is_shown(tmp_path: Path, name: str) -> None:
    assert not is_secret_name(name)
    assert "plain-value" in written(tmp_path, "plain-value", Redactor.of_environment({name: "plain-value"}))


@pytest.mark.parametrize("token", SHAPES.values(), ids=SHAPES.keys())
def test_what_looks_like_a_token_is_masked_though_nobody_named_it(tmp_path: Path, token: str) -> None:
    text = written(tmp_path, token, Redactor())
    assert token not in text
    assert token[8:28] not in text


@pytest.mark.parametrize(
    "harmless",
    [
        *("task-sk-short", "hf_hub", "AKIA", "eyJ.not.one", "risk-assessment"),
        *("http://127.0.0.1:8000/v1", "http://host:80/a@b", "https://someone@host/simple", "git@host:a/b", "a://b"),
    ],
)
def test_what_only_begins_like_a_token_is_shown(harmless: str) -> None:
    assert Redactor()(harmless) == harmless


@pytest.mark.parametrize(
    "secret",
    [
        'pa"ss"word',
        "back\\slash\\secret",
        "two\nlines\nof key",
        "tab\tseparated\tkey",
        "ünï-cödé-☃",
        "/slashes/",
        "\x7f\x00nul\x1f",
    ],
)
def test_a_secret_that_json_writes_differently_is_found(tmp_path: Path, secret: str) -> None:
    """Redacting the finished JSON would miss these: it holds `pa\\"ss\\"word`."""
    text = written(tmp_path, secret, Redactor([secret]))
    assert secret not in text
    assert json.dumps(secret)[1:-1] not in text
    assert json.dumps(secret, ensure_ascii=False)[1:-1] not in text
    assert read_records(tmp_path / "records.jsonl")[0].log == MASK


@pytest.mark.parametrize(
    "write", [repr, json.dumps, html.escape, lambda s: urllib.parse.quote(s, safe=""), urllib.parse.quote_plus, shlex.quote]
)
def test_a_secret_that_others_escaped_is_found(write: Callable[[str], str]) -> None:
    """A server's log, a page, a URL: nobody there asks how we would write it."""
    secret = "pa\"ss' wo\\rd & ünï/1"
    shown = Redactor([secret])(f"<{write(secret)}>")
    assert MASK in shown
    assert "wo" not in shown


def test_a_secret_that_is_no_utf8_is_found() -> None:
    secret = os.fsdecode(b"caf\xe9-au-lait")
    redact = Redactor.of_environment({"A_SECRET": secret})
    assert redact(f"<{secret}> caf%E9-au-lait") == f"<{MASK}> {MASK}"


def test_a_secret_that_holds_another_is_masked_whole() -> None:
    redact = Redactor(["abcdef", "abcdef-ghijkl", "xx-abcdef-ghijkl-yy"])
    assert redact("1 xx-abcdef-ghijkl-yy 2 abcdef-ghijkl 3 abcdef") == f"1 {MASK} 2 {MASK} 3 {MASK}"


def test_a_secret_of_digits_breaks_no_number(tmp_path: Path) -> None:
    """DOOR_SECRET=131072: cut out of the finished JSON it would leave no JSON behind."""
    log = RecordLog(tmp_path / "records.jsonl", Redactor.of_environment({"DOOR_SECRET": "131072"}))
    log.append(
        Record(
            check="a", cell="c", kind="server", verdict=Verdict.PASS, reason="", evidence=(Evidence(name="len", value=131072),)
        )
    )
    assert read_records(log.path)[0].evidence[0].value == 131072


def test_short_values_are_no_secrets() -> None:
    """A variable such as USE_TOKEN=1 must not blot out every 1."""
    assert Redactor.of_environment({"USE_TOKEN": "1", "X_SECRET": ""})("1 of 10") == "1 of 10"


def test_given_values_are_masked_besides_those_of_the_environment() -> None:
    redact = Redactor.of_environment({"HF_TOKEN": "from-the-environment"}, extra=["from-an-option"])
    assert redact("from-the-environment from-an-option") == f"{MASK} {MASK}"


OWN_WORDS = [
    "server",
    "reason",
    "verdict",
    "evidence",
    "INCONCLUSIVE",
    "id_vllm_tiny_cpu",
    "vllm_tiny",
    "server.chat",
    "started_at",
]


@pytest.mark.parametrize("secret", OWN_WORDS)
def test_a_secret_that_is_a_word_of_the_record_leaves_a_record_behind(tmp_path: Path, secret: str) -> None:
    """DOOR_SECRET=server: every record says so of itself; what it was told is masked all the same."""
    log = RecordLog(tmp_path / "records.jsonl", Redactor([secret]))
    found = Evidence(name=secret, value=secret, detail={secret: {"verdict": secret}})
    about = Record(
        check="server.chat", cell="id_vllm_tiny_cpu", kind="server", verdict=Verdict.INCONCLUSIVE, reason=f"<{secret}>"
    )
    log.append(replace(about, evidence=(found,), log=secret))
    (back,) = read_records(log.path)
    assert replace(back, reason="", evidence=(), log="") == replace(about, reason="")
    (item,) = back.evidence
    assert (back.reason, back.log, item.name, item.value) == (f"<{MASK}>", MASK, MASK, MASK)
    assert secret not in json.dumps(list(item.detail.values()))


def test_the_name_of_somebodys_own_test_is_a_text(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "records.jsonl", Redactor(["hunter2-hunter2"]))
    log.append(Record(check="extra.test_a[hunter2-hunter2]", cell="c", kind="extra", verdict=Verdict.PASS, reason=""))
    assert read_records(log.path)[0].check == f"extra.test_a[{MASK}]"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=20))
def test_no_text_of_any_kind_leaks_as_a_secret(tmp_path: Path, secret: str) -> None:
    log = RecordLog(tmp_path / "records.jsonl", Redactor([secret]))
    log.path.unlink(missing_ok=True)
    log.append(Record(check="a", cell="c", kind="server", verdict=Verdict.FAIL, reason="", log=f"<{secret}>"))
    back = read_records(log.path)[0].log
    # The secret may be part of the mask itself, such as "redact".
    assert back == f"<{MASK}>"
