"""The docker launcher: creates and starts the container of a plan, and waits until it is ready."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any

import docker  # type: ignore[import-untyped,import-not-found,unused-ignore]

from hallmark.core.errors import InfrastructureError, LaunchError
from hallmark.serving.container import ContainerPlan, published, sdk_options
from hallmark.serving.docker.daemon import (
    CELL_LABEL,
    OWNER_LABEL,
    TROUBLES,
    connect,
    discard,
    gpu_options,
    line,
    require_image,
    sweep,
)
from hallmark.serving.docker.leash import Leash, this_process
from hallmark.serving.docker.server import DockerServer
from hallmark.serving.lease import Lease, lease_of
from hallmark.serving.movement import Movement, Startup
from hallmark.serving.ports import require_free_port
from hallmark.serving.readiness import wait_until_ready
from hallmark.serving.server import Launcher, LaunchPlan, RunningServer


class DockerLauncher(Launcher):
    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        if plan.container is None:
            raise LaunchError("no image to start", where=plan.cell, hint="name one with --image, or in the spec")
        client = connect()
        lease: Lease | None = None
        try:
            require_image(client, plan.container.image)
            sweep(client)
            lease = lease_of(plan, progress)
            require_free_port(plan.endpoint.base_url)
            began = time.monotonic()
            server = _run(client, plan, plan.container, lease)
            _wait(plan, server, progress)
        except BaseException:
            if lease:
                lease.release()
            client.close()
            raise
        server.started_in_s = time.monotonic() - began
        return server


def _run(client: docker.DockerClient, plan: LaunchPlan, container_plan: ContainerPlan, lease: Lease | None) -> DockerServer:
    """The container created and started under a leash; LaunchError, nothing left, where Docker refuses."""
    name = f"hallmark-{uuid.uuid4().hex[:12]}"
    leash = Leash(name, held=lease.descriptors if lease else ())
    try:
        container = client.containers.create(
            container_plan.image,
            list(plan.argv),
            name=name,
            environment=dict(plan.env),
            labels={OWNER_LABEL: this_process(), CELL_LABEL: plan.cell},
            **_network(container_plan, plan.endpoint.base_url),
            **gpu_options(container_plan),
            **sdk_options(container_plan),
        )
        container.start()
    except BaseException as exc:
        discard(client, name, leash)
        if isinstance(exc, TROUBLES):
            raise LaunchError(f"Docker does not start the container: {line(exc)}", where=container_plan.image) from exc
        raise
    return DockerServer(plan, container, leash, lease)


def _network(plan: ContainerPlan, base_url: str) -> dict[str, Any]:
    if plan.network == "host":
        return {"network_mode": "host"}
    return {"ports": {f"{plan.port}/tcp": published(plan, base_url)}}


def _wait(plan: LaunchPlan, server: DockerServer, progress: Callable[[str], None]) -> None:
    """Until it is ready; LaunchError, with the container gone, where it does not become so."""
    startup = Startup(plan, Movement(plan.log_path), progress)
    try:
        reason = wait_until_ready(
            plan.endpoint, timeout_s=plan.startup_timeout_s, gone=server.ended.wait, progress=startup.waited
        )
    except BaseException:
        with contextlib.suppress(InfrastructureError):
            server.stop()
        raise
    if not reason:
        return
    death = server.death
    message = f"{death} before it was ready" if death else f"the server was not ready {startup.explained(reason)}"
    with contextlib.suppress(InfrastructureError):
        server.stop()
    hint = f"read {plan.log_path.name} in the run's folder"
    raise LaunchError(message, where=plan.cell, hint=hint, log_tail=server.log_tail())
