"""Settings: where each comes from, what is refused, and that secrets are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark_services.gateway.settings import make_parser, read_settings


def test_arguments_win_over_the_environment_and_that_over_defaults() -> None:
    environ = {"PORT": "9000", "HOST": "0.0.0.0", "STOP_GRACE_S": "8", "GATEWAY_ACCESS_LOG": "no", "BUILD_SHA": ""}
    settings = read_settings(["--port", "9001", "--max-body-mib", "0.5"], environ)
    assert (settings.port, settings.host, settings.drain_s, settings.access_log) == (9001, "0.0.0.0", 6.0, False)
    assert settings.max_body_bytes == 512 * 1024
    assert (settings.build_sha, settings.guarded) == ("dev", False)


def test_secrets_come_by_environment_or_file_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("key-one\nkey-two\n")
    settings = read_settings([], {"JWT_SECRET": "sesame-" * 6, "GATEWAY_API_KEYS_FILE": str(tmp_path / "keys")})
    assert settings.api_keys == ("key-one", "key-two")
    assert settings.guarded
    assert "sesame" not in repr(settings)
    assert "key-one" not in repr(settings)


@pytest.mark.parametrize("flag", ["--jwt-secret", "--api-keys", "--engine-api-key"])
def test_no_argument_takes_a_secret(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser().parse_args([flag, "x"])
    assert "unrecognized" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--port", "many"], {}, "--port: not a int: 'many'"),
        ([], {"PORT": "65536"}, "no such port"),
        ([], {"GATEWAY_ACCESS_LOG": "maybe"}, r"\$GATEWAY_ACCESS_LOG: not a yes or no"),
        ([], {"STOP_GRACE_S": "0"}, "stop_grace_s must be above 0"),
        ([], {"STOP_GRACE_S": "nan"}, "stop_grace_s must be above 0"),
        ([], {"GATEWAY_DRAIN_S": "20"}, "STOP_GRACE_S"),
        ([], {"GATEWAY_STALL_S": "2", "GATEWAY_PROBE_EVERY_S": "2"}, "must exceed"),
        ([], {"ENGINE_URL": "https://engine"}, "not an engine's address"),
        ([], {"ENGINE_URL": "http://engine/v1"}, "not an engine's address"),
        ([], {"ENGINE_URL": "engine:8001"}, "not an engine's address"),
        ([], {"ENGINE_URL": "http://engine:port"}, "not an engine's address"),
        ([], {"GATEWAY_TRUSTED_PROXIES": "10.0.0.1/8"}, "GATEWAY_TRUSTED_PROXIES: .* has host bits set"),
        ([], {"GATEWAY_REQUEST_MEMORY_MIB": "64"}, r"would never fit"),
        ([], {"GATEWAY_EXTRA_PATHS": "metrics"}, "not a path"),
        ([], {"ENGINE_API_KEY": "a\nb"}, "cannot stand in a header"),
        ([], {"JWT_SECRET_FILE": "/no/such/file"}, "cannot read the secret"),
        ([], {"JWT_SECRET": "x", "JWT_SECRET_FILE": "/x"}, "both set"),
        ([], {"JWT_SECRET": "x" * 31}, "JWT_SECRET: the secret is shorter than 32 bytes.*`openssl rand"),
        ([], {"GATEWAY_AUDIENCE": "models", "GATEWAY_API_KEYS": "k"}, "no token is taken"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_one_line(arguments: list[str], environ: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_settings(arguments, environ)


def test_a_short_secret_is_taken_where_that_is_said_and_doubted() -> None:
    assert read_settings([], {"JWT_SECRET": "x" * 32}).doubts == ()
    (doubt,) = read_settings(["--insecure", "yes"], {"JWT_SECRET": "x" * 31}).doubts
    assert "shorter than 32 bytes" in doubt


def test_a_short_key_is_doubted() -> None:
    assert read_settings([], {"GATEWAY_API_KEYS": "k" * 16}).doubts == ()
    (doubt,) = read_settings([], {"GATEWAY_API_KEYS": "sesame," + "k" * 16}).doubts
    assert "1 shorter than 16 characters" in doubt
    assert "sesame" not in doubt


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(UsageError, match="empty"):
        read_settings([], {"JWT_SECRET_FILE": str(tmp_path / "secret")})
