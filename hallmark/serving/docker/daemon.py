"""The Docker daemon: reaching it, its images, and taking away the containers that are ours."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import docker  # type: ignore[import-untyped,import-not-found,unused-ignore]
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound  # type: ignore[import-untyped,import-not-found,unused-ignore]

from hallmark.core.errors import LaunchError
from hallmark.serving.container import ContainerPlan
from hallmark.serving.docker.leash import Leash, vanished

STOP_GRACE_S = 10
"""How long a container may take for SIGTERM; a gateway in it lets answers come to their end."""
OWNER_LABEL = "hallmark.owner"
CELL_LABEL = "hallmark.cell"
TROUBLES = (DockerException, requests.RequestException, OSError)
"""What a daemon that is away, or that refuses, shows itself by."""
_API_TIMEOUT_S = 30
_BIRTH_S = 5.0
"""How long a daemon may take to create the container that a killed process had asked for."""


def connect() -> docker.DockerClient:
    """A client of the daemon that DOCKER_HOST (or the default socket) names; LaunchError where none answers."""
    try:
        client = docker.from_env(timeout=_API_TIMEOUT_S)
        client.ping()
    except TROUBLES as exc:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise LaunchError(
            f"no Docker daemon answers ({line(exc)})", where=where, hint="start it, or name another in DOCKER_HOST"
        ) from exc
    return client


def require_image(client: docker.DockerClient, image: str) -> None:
    """LaunchError where the image is not on this machine; nothing is pulled: what is measured is what was put there."""
    try:
        client.images.get(image)
    except ImageNotFound as exc:
        raise LaunchError(
            "the image is not here", where=image, hint="docker pull it, or build it (engine/build_image.sh)"
        ) from exc


def image_facts(image: str) -> dict[str, Any]:
    """Which image that is: its digest, when it was made, and its labels, in which a stand-in for a base says so."""
    client = connect()
    require_image(client, image)
    found = client.images.get(image)
    return {"name": image, "id": found.id, "created": found.attrs.get("Created", ""), "labels": dict(found.labels or {})}


def remove(container: Any) -> None:
    """Stop and remove a container with its anonymous volumes; one that is gone already is gone."""
    with contextlib.suppress(APIError):  # paused, say: then by force
        container.stop(timeout=STOP_GRACE_S)
    try:
        container.remove(v=True, force=True)
    except NotFound:
        return
    except APIError as exc:
        if exc.status_code != 409:  # somebody else is removing it at this moment
            raise


def sweep(client: docker.DockerClient) -> list[str]:
    """Remove containers whose starter and leash were both killed; returns the names of those that it could."""
    swept = []
    with contextlib.suppress(*TROUBLES):
        for container in client.containers.list(all=True, filters={"label": OWNER_LABEL}, ignore_removed=True):
            if vanished(container.labels[OWNER_LABEL]):
                remove(container)
                swept.append(str(container.name))
    return swept


def remove_named(name: str, *, within_s: float) -> bool:
    """Remove the container of that name, trying for `within_s`: it may be about to be created, or the daemon to come back."""
    began = time.monotonic()
    while True:
        try:
            with contextlib.closing(connect()) as client:
                remove(client.containers.get(name))
        except NotFound:
            if time.monotonic() > began + _BIRTH_S:
                return True
        except (LaunchError, *TROUBLES):
            pass
        else:
            return True
        if time.monotonic() > began + within_s:
            return False
        time.sleep(0.05)


def discard(client: docker.DockerClient, name: str, leash: Leash) -> None:
    """Remove what may have come into being under that name; where that fails the leash sees to it."""
    try:
        with contextlib.suppress(NotFound):
            remove(client.containers.get(name))
        leash.let_go()
    except TROUBLES:
        leash.pull()


def gpu_options(plan: ContainerPlan) -> dict[str, Any]:
    if not plan.gpus:
        return {}
    count = -1 if plan.gpus == "all" else int(plan.gpus)
    return {"device_requests": [docker.types.DeviceRequest(count=count, capabilities=[["gpu"]])]}


def line(exc: BaseException) -> str:
    """What Docker says, as one line."""
    text = getattr(exc, "explanation", None) or str(exc)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join(str(text).split())[:300]
