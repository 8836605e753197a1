"""What a container is given besides its command and its variables, and the line of `docker run` that says the same.

Knows nothing of the Docker SDK, so that a plan can be made, shown and pickled where Docker is not.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from hallmark.core.redact import is_secret_name

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """An image and what it may use of this machine. Its arguments are the plan's `argv`, its variables the plan's `env`."""

    image: str
    port: int
    """Where the server listens inside; published at the plan's endpoint. On the host's network it is the endpoint's own."""
    entrypoint: tuple[str, ...] = ()
    """Instead of the image's own; empty to keep that."""
    network: Literal["bridge", "host"] = "bridge"
    binds: tuple[str, ...] = ()
    """`/on/the/host:/in/the/container[:ro]`, or `volume:/in/the/container`."""
    devices: tuple[str, ...] = ()
    """`/dev/name[:/dev/name][:rwm]`; a folder stands for all nodes in it."""
    gpus: str = ""
    """How many the NVIDIA runtime hands in: `all` or a number; empty for none."""
    runtime: str = ""
    ipc: Literal["", "host"] = ""
    shm_gib: float = 1.0
    """Docker's own 64 MiB are too few for the processes of an engine that share memory."""
    memory_gib: float | None = None
    """Beyond it the kernel kills; None for no limit. Swap does not widen it."""
    groups: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    user: str = ""
    """Empty for the image's own."""

    def limit_text(self) -> str:
        """The memory limit for a person; empty where there is none."""
        return f"{self.memory_gib:g} GiB" if self.memory_gib else ""


def without_devices(plan: ContainerPlan) -> ContainerPlan:
    """The same container on a machine that has none of its devices."""
    return replace(plan, devices=(), gpus="", runtime="")


def published(plan: ContainerPlan, base_url: str) -> tuple[str, int]:
    """Host address and port at which the container's port is published."""
    address = urlsplit(base_url)
    return address.hostname or "127.0.0.1", address.port or plan.port


def docker_command(plan: ContainerPlan, *, base_url: str, argv: Sequence[str], env: Mapping[str, str]) -> str:
    """`docker run ...` as one line that a person can paste. A secret is named only: it is taken from the shell's own."""
    words = ["docker", "run", "--rm"]
    if plan.network == "host":
        words += ["--network", "host"]
    else:
        host, port = published(plan, base_url)
        words += ["-p", f"{host}:{port}:{plan.port}"]
    words += [word for option, value in _options(plan) for word in (option, value)]
    for name, value in env.items():
        words += ["-e", name if is_secret_name(name) else f"{name}={value}"]
    if plan.entrypoint:
        words += ["--entrypoint", plan.entrypoint[0]]
    return shlex.join([*words, plan.image, *plan.entrypoint[1:], *argv])


def _options(plan: ContainerPlan) -> list[tuple[str, str]]:
    repeated = {
        "-v": plan.binds,
        "--device": plan.devices,
        "--group-add": plan.groups,
        "--cap-add": plan.capabilities,
        "--security-opt": plan.security,
    }
    single = {
        "--gpus": plan.gpus,
        "--runtime": plan.runtime,
        "--ipc": plan.ipc,
        "--shm-size": "" if plan.ipc else f"{plan.shm_gib:g}g",
        "--memory": f"{plan.memory_gib:g}g" if plan.memory_gib else "",
        "--memory-swap": f"{plan.memory_gib:g}g" if plan.memory_gib else "",
        "--user": plan.user,
    }
    return [(option, value) for option, values in repeated.items() for value in values] + [
        (option, value) for option, value in single.items() if value
    ]


def sdk_options(plan: ContainerPlan) -> dict[str, Any]:
    """The same for the SDK's `containers.create`, but for the ports and the GPUs, which need types of the SDK."""
    options: dict[str, Any] = {
        "entrypoint": list(plan.entrypoint) or None,
        "volumes": list(plan.binds),
        "devices": [_device(device) for device in plan.devices],
        "group_add": list(plan.groups),
        "cap_add": list(plan.capabilities),
        "security_opt": list(plan.security),
        "runtime": plan.runtime or None,
        "ipc_mode": plan.ipc or None,
        "shm_size": None if plan.ipc else int(plan.shm_gib * GIB),
        "mem_limit": int(plan.memory_gib * GIB) if plan.memory_gib else None,
        "memswap_limit": int(plan.memory_gib * GIB) if plan.memory_gib else None,
        "user": plan.user or None,
    }
    return {name: value for name, value in options.items() if value}


def _device(text: str) -> str:
    """The SDK wants all three parts: /dev/a -> /dev/a:/dev/a:rwm."""
    parts = text.split(":")
    modes = parts.pop() if len(parts) > 1 and not parts[-1].startswith("/") else "rwm"
    return f"{parts[0]}:{parts[-1]}:{modes}"
