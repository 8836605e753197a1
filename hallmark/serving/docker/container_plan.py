"""A launch plan turned into one for a container. Pure: the image is named here, looked for by the launcher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hallmark.core.endpoint import Endpoint
from hallmark.core.errors import UsageError
from hallmark.serving.container import ContainerPlan
from hallmark.serving.server import LaunchPlan
from hallmark.specs.cell import Cell

PORT = 8000
"""Where the image's gateway listens inside."""
HOST = "0.0.0.0"  # noqa: S104 - inside the container; what is published decides who gets in
CACHE = "hallmark-cache:/cache"
_SHM_GIB = 1
"""Docker's own 64 MB are too few for tensors that go from process to process."""
_ENGINE_WORDS = 3
"""`python -m module`: the image's own entrypoint stands in their place."""


def container_plan(cell: Cell, image: str) -> ContainerPlan:
    """What a container of `cell` is given; UsageError where nobody names its image."""
    image = image or cell.impl.image
    if not image:
        raise UsageError(f"the spec of {cell.id} names no image", where="--server docker", hint="name one with --image")
    options = cell.container
    return ContainerPlan(
        image=image,
        port=PORT,
        binds=(*options.binds, *_weights(cell), CACHE),
        devices=options.devices,
        gpus=options.gpus,
        runtime=options.runtime,
        ipc=options.ipc,
        shm_gib=float(options.shm_gib or _SHM_GIB),
        memory_gib=options.memory_gib,
        groups=options.groups,
        capabilities=options.capabilities,
        security=options.security,
    )


def _weights(cell: Cell) -> list[str]:
    """Local weights and adapters, at the same place inside as outside: what the server says of them can be compared."""
    paths = [cell.weights.path, *(adapter.path for adapter in cell.lora)]
    folders = [cell.beside_spec(path) for path in paths if path]
    outermost = [f for f in folders if not any(other != f and f.is_relative_to(other) for other in folders)]
    return [f"{folder}:{folder}:ro" for folder in dict.fromkeys(outermost)]


def in_container(
    plan: LaunchPlan, container: ContainerPlan, *, cell: Cell, host: str, port: int, others: Mapping[str, str]
) -> LaunchPlan:
    """`plan` (made for HOST and PORT) as the arguments and variables of `container`, published at `host`:`port`.

    The host's environment stays outside; `others` are the few variables that go in besides those of the plan.
    """
    assert Path(plan.argv[0]).name.startswith("python"), plan.argv
    env = cell.container.env_vars | {value.name: value.value for value in plan.set_vars} | dict(others)
    return replace(
        plan,
        endpoint=Endpoint(base_url=f"http://{host}:{port}", model=plan.endpoint.model, api_key=plan.endpoint.api_key),
        argv=plan.argv[_ENGINE_WORDS:],
        env=env,
        container=container,
    )
