"""The image's settings: flags of vLLM that it understands > environment > defaults. Each is checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

DTYPES = ("auto", "bfloat16", "float16", "float32", "half", "float")
HALF_SETS = {"half": "float16", "float": "float32"}
_FLAGS = {
    "--model": "MODEL_ID",
    "--served-model-name": "SERVED_MODEL_NAME",
    "--host": "HOST",
    "--port": "PORT",
    "--dtype": "DTYPE",
    "--tensor-parallel-size": "TENSOR_PARALLEL",
    "-tp": "TENSOR_PARALLEL",
    "--max-model-len": "MAX_MODEL_LEN",
    "--gpu-memory-utilization": "GPU_MEMORY_UTILIZATION",
}
"""Flags that stand for a variable; whoever starts the image as if it were vLLM's own gets what they ask for."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_PUBLIC_KEY = re.compile(r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-[\w.@-]+) [A-Za-z0-9+/]{40,}={0,3}( .*)?")
_TOKEN = re.compile(r"[\x21-\x7e]+")
_KEY = re.compile(r"[\x21-\x2b\x2d-\x7e]+")
_LEAST_SECRET_BYTES = 32
"""The gateway's own limit (hallmark.core.keys), told here before a model is loaded for nothing."""


class Wrong(Exception):
    """A setting that makes no sense; the message is the one line that a person reads."""


@dataclass(frozen=True)
class Settings:
    """What the container does, every value checked."""

    model: str
    """A name on the hub, or an absolute folder of the container."""
    served_name: str
    hf_token: str
    host: str
    port: int
    dtype: str
    """Empty or `auto`: to be chosen from the hardware."""
    tensor_parallel: int
    max_model_len: int
    gpu_memory_utilization: float
    build_sha: str
    build_time: str
    sshd: bool
    public_key: str
    ssh_port: int
    engine_port: int
    stop_grace_s: int
    """From SIGTERM to the end of the container, as `docker stop` or Kubernetes is told it, too."""
    passed_on: tuple[str, ...]
    """vLLM's flags that mean nothing to us."""

    @property
    def kill_after_s(self) -> float:
        """When what is left after a stop is killed: shortly before the container is, so that its last words are written."""
        return self.stop_grace_s - min(2.0, self.stop_grace_s / 20)


def read(arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """The settings; Wrong, in one line, for the first one that is not valid. An empty variable is one not given."""
    options, passed_on = _split(arguments)
    values = {name: text.strip() for name, text in environ.items() if text.strip()} | options
    ask = _Asker(values)
    model = ask.model()
    public_key = ask.public_key()
    port = ask.port("PORT", 8000)
    settings = Settings(
        model=model,
        served_name=values.get("SERVED_MODEL_NAME", "") or (Path(model).name if model.startswith("/") else model),
        hf_token=ask.matching("HF_TOKEN", "", _TOKEN, "a token of printable characters", secret=True),
        host=ask.matching("HOST", "0.0.0.0", _HOST, "an address or a host name"),  # noqa: S104
        port=port,
        dtype=ask.dtype(),
        tensor_parallel=ask.whole("TENSOR_PARALLEL", 1, most=1024),
        max_model_len=ask.whole("MAX_MODEL_LEN", 8192),
        gpu_memory_utilization=ask.number("GPU_MEMORY_UTILIZATION", 0.90, most=1.0),
        build_sha=values.get("BUILD_SHA", "dev"),
        build_time=values.get("BUILD_TIME", "dev"),
        sshd=ask.switch("ENABLE_SSHD") or bool(public_key),
        public_key=public_key,
        ssh_port=ask.port("SSH_PORT", 22),
        engine_port=ask.port("ENGINE_PORT", 8001 if port != 8001 else 8002),
        stop_grace_s=ask.whole("STOP_GRACE_S", 40, most=3600),
        passed_on=tuple(passed_on),
    )
    _check_ports(settings)
    ask.matching("VLLM_API_KEY", "", _KEY, "one key, of printable characters without a comma", secret=True)
    ask.jwt_secret()
    return settings


def _split(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What the flags say of our variables, and the other flags as they are."""
    options: dict[str, str] = {}
    passed_on: list[str] = []
    words = iter(arguments)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag.replace("_", "-") == "--api-key":
            raise Wrong("--api-key: a command line is no place for a secret - set GATEWAY_API_KEYS or JWT_SECRET instead")
        if (name := _FLAGS.get(flag.replace("_", "-"))) is None:
            passed_on.append(word)
            continue
        text = value if equals else next(words, "")
        if not text or (not equals and text.startswith("--")):
            raise Wrong(f"{flag}: no value follows it")
        options[name] = text
    return options, passed_on


def _check_ports(settings: Settings) -> None:
    taken = {"PORT": settings.port, "ENGINE_PORT (inside the container)": settings.engine_port}
    if settings.sshd:
        taken["SSH_PORT"] = settings.ssh_port
    seen: dict[int, str] = {}
    for name, port in taken.items():
        if port in seen:
            raise Wrong(f"{name}={port}: {seen[port]} has that port already - give one of them another")
        seen[port] = name


class _Asker:
    """Reads one variable at a time, and says in one line what is wrong with it."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def refuse(self, name: str, wanted: str, *, secret: bool = False) -> NoReturn:
        shown = "(not shown)" if secret else repr(self._values.get(name, ""))
        raise Wrong(f"{name}={shown}: must be {wanted}")

    def matching(self, name: str, default: str, pattern: re.Pattern[str], wanted: str, *, secret: bool = False) -> str:
        text = self._values.get(name, default)
        if text and not pattern.fullmatch(text):
            self.refuse(name, wanted, secret=secret)
        return text

    def model(self) -> str:
        text = self._values.get("MODEL_ID", "Qwen/Qwen2.5-3B-Instruct")
        if text.startswith("/"):
            if not Path(text).is_dir():
                raise Wrong(f"MODEL_ID={text}: there is no such folder in the container - mount it (-v /host/folder:{text}:ro)")
            return text
        if not _HUB_NAME.fullmatch(text):
            self.refuse("MODEL_ID", "a name on the Hugging Face hub (org/name) or a folder of the container (/...)")
        return text

    def public_key(self) -> str:
        text = self._values.get("PUBLIC_KEY", "")
        if "PRIVATE KEY" in text:
            self.refuse("PUBLIC_KEY", "the public half (the .pub file); a private key was given", secret=True)
        for line in filter(None, map(str.strip, text.splitlines())):
            if not _PUBLIC_KEY.fullmatch(line):
                self.refuse("PUBLIC_KEY", "SSH public keys, one a line (ssh-ed25519 AAAA... name)", secret=True)
        return text

    def jwt_secret(self) -> None:
        text = self._values.get("JWT_SECRET", "")
        if 0 < len(text.encode()) < _LEAST_SECRET_BYTES and not self.switch("GATEWAY_INSECURE"):
            wanted = f"at least {_LEAST_SECRET_BYTES} bytes, or it can be found from any one token (openssl rand -hex 32)"
            self.refuse("JWT_SECRET", f"{wanted}; GATEWAY_INSECURE=yes takes it for a trial", secret=True)

    def dtype(self) -> str:
        text = self._values.get("DTYPE", "").lower()
        if text and text not in DTYPES:
            self.refuse("DTYPE", "one of " + ", ".join(DTYPES))
        return HALF_SETS.get(text, text)

    def switch(self, name: str) -> bool:
        text = self._values.get(name, "0").lower()
        if text not in ("0", "1", "true", "false", "yes", "no"):
            self.refuse(name, "0 or 1")
        return text in ("1", "true", "yes")

    def _converted(self, name: str, kind: Callable[[str], float], wanted: str) -> float:
        try:
            return kind(self._values[name])
        except ValueError:
            self.refuse(name, wanted)

    def whole(self, name: str, default: int, *, most: int = 10**8) -> int:
        if name not in self._values:
            return default
        wanted = f"a whole number from 1 to {most}"
        value = int(self._converted(name, int, wanted))
        if not 1 <= value <= most:
            self.refuse(name, wanted)
        return value

    def port(self, name: str, default: int) -> int:
        return self.whole(name, default, most=65535)

    def number(self, name: str, default: float, *, most: float) -> float:
        if name not in self._values:
            return default
        wanted = f"a number above 0, at most {most:g}"
        value = self._converted(name, float, wanted)
        if not 0 < value <= most:  # False for NaN, too
            self.refuse(name, wanted)
        return value
