"""Plans of containers: the line that a person can paste, and what is said where no Docker daemon answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hallmark.core.errors import InfrastructureError, LaunchError
from hallmark.serving.container import ContainerPlan, docker_command, sdk_options
from hallmark.serving.docker.leash import this_process, vanished
from hallmark.serving.server import Death, ServerLost, lost

URL = "http://127.0.0.1:18000"


def line(plan: ContainerPlan, *argv: str, **env: str) -> str:
    return docker_command(plan, base_url=URL, argv=argv, env=env)


def test_a_plain_image_is_published_at_the_endpoint() -> None:
    plan = ContainerPlan(image="engine:cpu", port=8000)
    assert line(plan, "--seed", "0") == "docker run --rm -p 127.0.0.1:18000:8000 --shm-size 1g engine:cpu --seed 0"
    assert sdk_options(plan) == {"shm_size": 1024**3}


def test_everything_that_a_device_needs_is_in_the_line_and_in_the_options() -> None:
    plan = ContainerPlan(
        image="engine:tt",
        port=8000,
        entrypoint=("python3", "-m", "server"),
        binds=("/dev/hugepages-1G:/dev/hugepages-1G", "/models:/models:ro"),
        devices=("/dev/tenstorrent", "/dev/kfd:/dev/kfd:rw"),
        gpus="2",
        runtime="habana",
        shm_gib=16,
        memory_gib=0.5,
        groups=("video",),
        capabilities=("SYS_NICE",),
        security=("seccomp=unconfined",),
        user="1000",
    )
    assert line(plan, "--seed", "0") == (
        "docker run --rm -p 127.0.0.1:18000:8000 -v /dev/hugepages-1G:/dev/hugepages-1G -v /models:/models:ro"
        " --device /dev/tenstorrent --device /dev/kfd:/dev/kfd:rw --group-add video --cap-add SYS_NICE"
        " --security-opt seccomp=unconfined --gpus 2 --runtime habana --shm-size 16g --memory 0.5g"
        " --memory-swap 0.5g --user 1000 --entrypoint python3 engine:tt -m server --seed 0"
    )
    options = sdk_options(plan)
    assert options["devices"] == ["/dev/tenstorrent:/dev/tenstorrent:rwm", "/dev/kfd:/dev/kfd:rw"]
    assert options["mem_limit"] == options["memswap_limit"] == 512 * 1024**2
    assert options["shm_size"] == 16 * 1024**3
    assert options["entrypoint"] == ["python3", "-m", "server"]


def test_the_hosts_network_publishes_nothing() -> None:
    plan = ContainerPlan(image="engine", port=8000, network="host")
    assert line(plan) == "docker run --rm --network host --shm-size 1g engine"


def test_the_hosts_shared_memory_needs_no_size() -> None:
    plan = ContainerPlan(image="engine", port=8000, ipc="host")
    assert line(plan) == "docker run --rm -p 127.0.0.1:18000:8000 --ipc host engine"
    assert sdk_options(plan) == {"ipc_mode": "host"}


def test_a_secret_is_named_and_not_told() -> None:
    plan = ContainerPlan(image="engine", port=8000)
    told = line(plan, HF_TOKEN="hf_secret", GREETING="two words")
    assert told == "docker run --rm -p 127.0.0.1:18000:8000 --shm-size 1g -e HF_TOKEN -e 'GREETING=two words' engine"


def test_no_daemon_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = pytest.importorskip("hallmark.serving.docker.daemon", reason="not tested: the Docker SDK is not installed")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(LaunchError, match="no Docker daemon answers") as caught:
        docker.connect()
    assert caught.value.where == f"unix://{tmp_path}/none.sock"
    assert "DOCKER_HOST" in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_a_machines_fault_is_an_error_and_a_servers_a_failure() -> None:
    own = Death(exit_code=-9, at=0, log_tail="", reason="killed for its memory limit")
    assert isinstance(lost(own), ServerLost)
    assert str(own) == "the server died (signal 9, killed for its memory limit)"
    machines = Death(exit_code=None, at=0, log_tail="", reason="the Docker daemon is gone", of_the_machine=True)
    assert isinstance(lost(machines), InfrastructureError)
    assert str(machines) == "the server is gone (the Docker daemon is gone)"


def test_only_a_process_that_is_known_to_be_gone_has_vanished() -> None:
    here = this_process()
    place, pid, started = here.split()
    assert not vanished(here)
    assert vanished(f"{place} {pid} {int(started) - 1}"), "another process has that pid now"
    assert vanished(f"{place} {2**22 + 1} 5")
    for elsewhere in (f"another-boot/pid:[1] {pid} 1", "", "nonsense", f"{place} x 1", str(os.getpid())):
        assert not vanished(elsewhere)
