"""One command in a container: of its own, from its creation to the last trace of it, or in that of a server that runs."""

from __future__ import annotations

import contextlib
import io
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker  # type: ignore[import-untyped,import-not-found,unused-ignore]

from hallmark.core.errors import LaunchError
from hallmark.serving.container import ContainerPlan, sdk_options
from hallmark.serving.docker.daemon import CELL_LABEL, OWNER_LABEL, TROUBLES, connect, discard, gpu_options, line, require_image
from hallmark.serving.docker.leash import Leash, this_process


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
    return _output_of(argv[0], code, output, errors, where=plan.image)


def run_beside(cell: str, argv: Sequence[str]) -> str:
    """The standard output of one command in the container that this process started for `cell`.

    LaunchError where there is none, or the command fails; its last line is told.
    """
    labels = [f"{OWNER_LABEL}={this_process()}", f"{CELL_LABEL}={cell}"]
    with contextlib.closing(connect()) as client:
        try:
            running = client.containers.list(filters={"label": labels}, ignore_removed=True)
            if not running:
                raise LaunchError("no container of this run serves it", where=cell)
            code, (output, errors) = running[0].exec_run(list(argv), demux=True)
        except TROUBLES as exc:
            raise LaunchError(f"{argv[0]} cannot be run in its container: {line(exc)}", where=cell) from exc
    return _output_of(argv[0], code, _text(output), _text(errors), where=cell)


def _text(output: bytes | None) -> str:
    return (output or b"").decode("utf-8", "replace")


def _output_of(program: str, code: int, output: str, errors: str, *, where: str) -> str:
    if code != 0:
        last = (errors.strip() or output.strip() or "it printed nothing").splitlines()[-1]
        raise LaunchError(f"{program} ended with exit code {code}: {last}", where=where)
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
    options = {**sdk_options(plan), **gpu_options(plan), "entrypoint": [argv[0]]}
    labels = {OWNER_LABEL: this_process()}
    try:
        container = client.containers.create(
            plan.image, list(argv[1:]), name=name, environment=dict(env), labels=labels, network_mode="none", **options
        )
        for path, text in files.items():
            container.put_archive(str(Path(path).parent), _archive(Path(path).name, text))
        container.start()
        code = int(container.wait(timeout=timeout_s)["StatusCode"])
        output, errors = (_text(container.logs(stdout=out, stderr=not out)) for out in (True, False))
    except TROUBLES as exc:
        raise LaunchError(f"{argv[0]} cannot be run in it: {line(exc)}", where=plan.image) from exc
    finally:
        discard(client, name, leash)
    return code, output, errors


def _archive(name: str, text: str) -> bytes:
    """One readable file as a tar archive, the form in which Docker takes files."""
    raw, buffer = text.encode(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(raw), 0o644
        archive.addfile(entry, io.BytesIO(raw))
    return buffer.getvalue()
