"""Which process of the container gets which secret, and what the command lines hold."""

from __future__ import annotations

from hallmark_engine import commands
from hallmark_engine.settings import read

ENVIRON = {
    "HF_TOKEN": "hf_of_this_test",
    "JWT_SECRET": "secret-of-this-test-in-32-bytes!",
    "GATEWAY_API_KEYS": "key-of-this-test",
    "VLLM_API_KEY": "clients-key",
    "PATH": "/bin",
}


def both(environ: dict[str, str], *arguments: str) -> tuple[commands.Command, commands.Command]:
    settings = read(arguments, environ)
    key = commands.engine_key(environ)
    engine = commands.engine(settings, dtype="bfloat16", environ=environ, key=key)
    return engine, commands.gateway(settings, environ=environ, key=key)


def test_no_secret_is_on_a_command_line() -> None:
    engine, gateway = both(ENVIRON)
    line = " ".join([*engine.argv, *gateway.argv])
    assert [secret for secret in (*ENVIRON.values(), engine.env["VLLM_API_KEY"]) if secret != "/bin" and secret in line] == []


def test_each_process_knows_only_its_own_secrets() -> None:
    engine, gateway = both(ENVIRON)
    assert engine.env["HF_TOKEN"] == "hf_of_this_test"
    assert {"JWT_SECRET", "GATEWAY_API_KEYS", "PUBLIC_KEY"} & set(engine.env) == set()
    assert gateway.env["JWT_SECRET"] == "secret-of-this-test-in-32-bytes!"
    assert {"HF_TOKEN", "VLLM_API_KEY", "PUBLIC_KEY"} & set(gateway.env) == set()


def test_clients_show_their_key_to_the_gateway_and_it_another_to_vllm() -> None:
    engine, gateway = both(ENVIRON)
    assert gateway.env["GATEWAY_API_KEYS"] == "key-of-this-test,clients-key"
    assert gateway.env["ENGINE_API_KEY"] == engine.env["VLLM_API_KEY"] != "clients-key"
    assert both(ENVIRON)[0].env["VLLM_API_KEY"] != engine.env["VLLM_API_KEY"], "new for each start"


def test_without_a_secret_nobody_demands_one() -> None:
    engine, gateway = both({"PATH": "/bin"})
    assert "VLLM_API_KEY" not in engine.env
    assert {"ENGINE_API_KEY", "GATEWAY_API_KEYS"} & set(gateway.env) == set()


def test_the_engine_is_on_the_loopback_and_hears_the_settings() -> None:
    engine, gateway = both({"PORT": "9000"}, "--max-model-len", "64", "--seed", "0")
    text = " ".join(engine.argv)
    assert "--host 127.0.0.1 --port 8001" in text
    assert "--dtype bfloat16 --max-model-len 64 --tensor-parallel-size 1 --gpu-memory-utilization 0.9 --seed 0" in text
    assert (gateway.env["PORT"], gateway.env["ENGINE_URL"]) == ("9000", "http://127.0.0.1:8001")
