"""The docker launcher: the server as a container. The only importer of the Docker SDK.

A container outlives whoever started it, so each one has a leash (`leash.py`): a process that removes it when this one
ends, whatever ends it. Should the leash be killed too, the next start sweeps up.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped,import-not-found,unused-ignore]
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound  # type: ignore[import-untyped,import-not-found,unused-ignore]

from hallmark.core.errors import InfrastructureError, LaunchError
from hallmark.core.process import tail
from hallmark.core.redact import Redactor
from hallmark.serving.container import ContainerPlan, published, sdk_options
from hallmark.serving.lease import Lease, hold
from hallmark.serving.leash import Leash, this_process, vanished
from hallmark.serving.movement import Movement, Startup
from hallmark.serving.readiness import require_free_port, require_released_port, wait_until_ready
from hallmark.serving.server import Death, Launcher, LaunchPlan, RunningServer

STOP_GRACE_S = 10
"""How long a container may take for SIGTERM; a gateway in it lets answers come to their end."""
OWNER_LABEL = "hallmark.owner"
_API_TIMEOUT_S = 30
_BIRTH_S = 5.0
"""How long a daemon may take to create the container that a killed process had asked for."""
_AWAY_S = 0.4
"""A daemon that answers again after so long was not gone."""
_LAST_WORDS_S = 0.5
"""How long a dead container's last lines may take to arrive; a death is to be told within a second."""
_Troubles = (DockerException, requests.RequestException, OSError)


def connect() -> docker.DockerClient:
    """A client of the daemon that DOCKER_HOST (or the default socket) names; LaunchError where none answers."""
    try:
        client = docker.from_env(timeout=_API_TIMEOUT_S)
        client.ping()
    except _Troubles as exc:
        where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        raise LaunchError(
            f"no Docker daemon answers ({_line(exc)})", where=where, hint="start it, or name another in DOCKER_HOST"
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


class DockerServer(RunningServer):
    """One container, watched: its exit, its log, and the daemon that would tell."""

    def __init__(self, plan: LaunchPlan, container: Any, leash: Leash, lease: Lease | None) -> None:
        assert plan.container is not None
        self.endpoint = plan.endpoint
        self.started_in_s = 0.0
        self.ended = threading.Event()
        self._plan = plan
        self._container_plan = plan.container
        self._container = container
        self._leash = leash
        self._lease = lease
        self._stopping = False
        self._death: Death | None = None
        self._log = threading.Thread(target=self._follow_log, name="hallmark-container-log", daemon=True)
        self._log.start()
        threading.Thread(target=self._watch, name="hallmark-container-watch", daemon=True).start()

    @property
    def death(self) -> Death | None:
        return None if self._stopping else self._death

    def died_within(self, seconds: float) -> bool:
        self.ended.wait(seconds)
        return self.death is not None

    def on_death(self, call: Callable[[Death], None]) -> None:
        def watch() -> None:
            self.ended.wait()
            if death := self.death:
                call(death)

        threading.Thread(target=watch, name="hallmark-death-watch", daemon=True).start()

    def log_tail(self) -> str:
        return tail(self._plan.log_path)

    def stop(self) -> None:
        """SIGTERM, grace, SIGKILL, removal; then the proof that the port is free. Safe to call twice."""
        first, self._stopping = not self._stopping, True
        if not first:
            return
        try:
            remove(self._container)
            self._leash.let_go()
        except _Troubles as exc:
            # The leash goes on trying for a while; then the next start sweeps up.
            self._leash.pull()
            raise InfrastructureError(
                f"the container could not be removed ({_line(exc)})",
                where=self._container.name,
                hint="is the Docker daemon gone?",
            ) from exc
        finally:
            self._log.join(_LAST_WORDS_S)
            self.ended.wait(_LAST_WORDS_S)  # the watcher hears of the end by the connection that is closed next
            self._container.client.close()
            self.ended.set()
            if self._lease:
                self._lease.release()
        require_released_port(self.endpoint.base_url)

    def _follow_log(self) -> None:
        redact = Redactor.of_environment(self._plan.env)
        with contextlib.suppress(*_Troubles), self._plan.log_path.open("ab", buffering=0) as log:
            for line in _lines(self._container.logs(stream=True, follow=True)):
                log.write(redact(line.decode("utf-8", "replace")).encode())

    def _watch(self) -> None:
        death = self._wait_for_end()
        if not self._stopping:
            self._log.join(_LAST_WORDS_S)
            self._death = Death(
                exit_code=death.exit_code,
                at=death.at,
                log_tail=self.log_tail(),
                reason=death.reason,
                of_the_machine=death.of_the_machine,
            )
        self.ended.set()

    def _wait_for_end(self) -> Death:
        while True:
            try:
                code = int(self._container.client.api.wait(self._container.id, timeout=None)["StatusCode"])
                self._container.reload()
                return _death(code, self._container.attrs["State"], self._container_plan)
            except NotFound:
                return _gone("the container was removed from outside")
            except _Troubles:
                if reason := self._unreachable():
                    return _gone(reason)

    def _unreachable(self) -> str:
        """Why waiting broke off; empty where the daemon answers and the container runs: then only a connection was lost."""
        deadline = time.monotonic() + _AWAY_S
        while True:
            try:
                self._container.client.ping()
            except _Troubles as exc:
                if time.monotonic() > deadline:
                    return f"the Docker daemon is gone ({_line(exc)})"
                time.sleep(0.05)
            else:
                return ""


def _gone(reason: str) -> Death:
    return Death(exit_code=None, at=time.time(), log_tail="", reason=reason, of_the_machine=True)


def _death(code: int, state: Mapping[str, Any], plan: ContainerPlan) -> Death:
    """A container tells signal N as 128 + N, as a shell does."""
    limit = f" of {plan.limit_text()}" if plan.memory_gib else ""
    return Death(
        exit_code=128 - code if 128 < code <= 192 else code,
        at=time.time(),
        log_tail="",
        reason=f"killed for its memory limit{limit}: out of memory" if state.get("OOMKilled") else "",
    )


class DockerLauncher(Launcher):
    name = "docker"

    def start(self, plan: LaunchPlan, progress: Callable[[str], None]) -> RunningServer:
        if plan.container is None:
            raise LaunchError("no image to start", where=plan.cell, hint="name one with --image, or in the spec")
        client = connect()
        lease: Lease | None = None
        try:
            require_image(client, plan.container.image)
            sweep(client)
            lease = hold(plan.device, holder=plan.cell, progress=progress) if plan.device else None
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
    leash = Leash(name, held=[lease.fileno()] if lease else [])
    try:
        container = client.containers.create(
            container_plan.image,
            list(plan.argv),
            name=name,
            environment=dict(plan.env),
            labels={OWNER_LABEL: this_process(), "hallmark.cell": plan.cell},
            **_network(container_plan, plan.endpoint.base_url),
            **_gpus(container_plan),
            **sdk_options(container_plan),
        )
        container.start()
    except BaseException as exc:
        _discard(client, name, leash)
        if isinstance(exc, _Troubles):
            raise LaunchError(f"Docker does not start the container: {_line(exc)}", where=container_plan.image) from exc
        raise
    return DockerServer(plan, container, leash, lease)


def _discard(client: docker.DockerClient, name: str, leash: Leash) -> None:
    """Remove what may have come into being under that name; where that fails the leash sees to it."""
    try:
        with contextlib.suppress(NotFound):
            remove(client.containers.get(name))
        leash.let_go()
    except _Troubles:
        leash.pull()


def _network(plan: ContainerPlan, base_url: str) -> dict[str, Any]:
    if plan.network == "host":
        return {"network_mode": "host"}
    return {"ports": {f"{plan.port}/tcp": published(plan, base_url)}}


def _gpus(plan: ContainerPlan) -> dict[str, Any]:
    if not plan.gpus:
        return {}
    count = -1 if plan.gpus == "all" else int(plan.gpus)
    return {"device_requests": [docker.types.DeviceRequest(count=count, capabilities=[["gpu"]])]}


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
    message = f"{death} before it was ready" if death else f"the server was not ready {startup.told(reason)}"
    with contextlib.suppress(InfrastructureError):
        server.stop()
    hint = f"read {plan.log_path.name} in the run's folder"
    raise LaunchError(message, where=plan.cell, hint=hint, log_tail=server.log_tail())


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
    with contextlib.suppress(*_Troubles):
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
        except (LaunchError, *_Troubles):
            pass
        else:
            return True
        if time.monotonic() > began + within_s:
            return False
        time.sleep(0.05)


def run_in_image(
    plan: ContainerPlan,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    files: Mapping[str, str] | None = None,
    timeout_s: float = 60,
) -> str:
    """The standard output of one command in the image, with the devices, binds and limits of `plan`.

    `files` (absolute path -> text) lie in the container before it starts. LaunchError where the image is not here, the
    command fails (its last line is told) or takes longer than `timeout_s`. Nothing is left.
    """
    with contextlib.closing(connect()) as client:
        require_image(client, plan.image)
        code, output, errors = _run_once(client, plan, argv, env=env, files=files or {}, timeout_s=timeout_s)
    if code != 0:
        last = (errors.strip() or output.strip() or "it printed nothing").splitlines()[-1]
        raise LaunchError(f"{argv[0]} ended with exit code {code}: {last}", where=plan.image)
    return output


def _run_once(
    client: docker.DockerClient,
    plan: ContainerPlan,
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    files: Mapping[str, str],
    timeout_s: float,
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command in a container that is gone afterwards."""
    name = f"hallmark-{uuid.uuid4().hex[:12]}"
    leash = Leash(name, held=[])
    options = {**sdk_options(plan), **_gpus(plan), "entrypoint": [argv[0]]}
    labels = {OWNER_LABEL: this_process()}
    try:
        container = client.containers.create(
            plan.image, list(argv[1:]), name=name, environment=dict(env), labels=labels, network_mode="none", **options
        )
        for path, text in files.items():
            container.put_archive(str(Path(path).parent), _archive(Path(path).name, text))
        container.start()
        code = int(container.wait(timeout=timeout_s)["StatusCode"])
        output, errors = (container.logs(stdout=out, stderr=not out).decode("utf-8", "replace") for out in (True, False))
    except _Troubles as exc:
        raise LaunchError(f"{argv[0]} cannot be run in it: {_line(exc)}", where=plan.image) from exc
    finally:
        _discard(client, name, leash)
    return code, str(output), str(errors)


def _archive(name: str, text: str) -> bytes:
    """One readable file as a tar archive, the form in which Docker takes files."""
    raw, buffer = text.encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(raw), 0o644
        archive.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The log in whole lines: Docker cuts long ones, and a secret must not be cut in two."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        whole, newline, rest = rest.rpartition(b"\n")
        if newline:
            yield whole + newline
    if rest:
        yield rest


def _line(exc: BaseException) -> str:
    """What Docker says, as one line."""
    text = getattr(exc, "explanation", None) or str(exc)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return " ".join(str(text).split())[:300]
