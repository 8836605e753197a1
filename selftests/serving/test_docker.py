"""The docker launcher with a real engine: each way in which a container can fail to come up, and to stay."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from hallmark.client.access import walk
from hallmark.client.wire import WireClient
from hallmark.core.errors import InfrastructureError, LaunchError
from hallmark.environment.bundle import facts_program
from hallmark.environment.collect import parse
from hallmark.serving.access_keys import Keys, behind_gateway
from hallmark.serving.container import ContainerPlan, without_devices
from hallmark.serving.docker.documents import with_documents
from hallmark.serving.docker.launcher import DockerLauncher
from hallmark.serving.docker.once import run_in_image
from hallmark.serving.guarded import GuardedLauncher
from hallmark.serving.launchers import make_launcher
from hallmark.serving.ports import free_port
from hallmark.serving.server import Death, LaunchPlan, RunningServer, ServerLost
from hallmark.specs.catalogue import Selection, load_catalogue
from selftests.core.polling import alive, comes_true, marked
from selftests.faulty import MODEL, running
from selftests.gateway.streams import Streams
from selftests.serving.containers import BASE, PORT, ROOT, Doorway, contained, owned, require_engine
from selftests.specs.sheets import spec_folder

pytestmark = [pytest.mark.docker, pytest.mark.e2e]

PROMPT_S = 15.0
"""What a busy machine may take; far below any timeout that would hide a fault."""
Start = Callable[[LaunchPlan], RunningServer]


@pytest.fixture(scope="module")
def engine() -> Any:
    return require_engine()


@pytest.fixture(autouse=True)
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hallmark.serving.docker.daemon.STOP_GRACE_S", 1)


@pytest.fixture
def start(engine: Any) -> Iterator[Start]:
    """Starts plans; afterwards all is stopped, and no container and no leash is left of any of them."""
    before = {container.id for container in owned(engine)}
    servers: list[RunningServer] = []

    def launch(plan: LaunchPlan) -> RunningServer:
        launcher = GuardedLauncher(DockerLauncher()) if plan.gateway else DockerLauncher()
        servers.append(launcher.start(plan, lambda _: None))
        return servers[-1]

    yield launch
    for server in servers:
        server.stop()
    assert comes_true(lambda: {container.id for container in owned(engine)} == before)
    assert comes_true(lambda: not [pid for pid in leashes() if parent_of(pid) == os.getpid()])


def leashes(name: str = "") -> list[int]:
    """The leashes that wait, of the container of that name or of any."""
    return marked(f"hallmark.serving.docker.leash\0{name}")


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def only_container(engine: Any) -> Any:
    (container,) = owned(engine)
    return container


def test_a_ready_server_answers_and_is_gone_after_stop(tmp_path: Path, start: Start, engine: Any) -> None:
    """The clean twin of all that follows."""
    plan = contained(tmp_path)
    server = start(plan)
    assert httpx.get(server.endpoint.base_url + "/v1/models").json()["data"][0]["id"] == MODEL
    assert server.death is None
    assert not server.died_within(0)
    assert comes_true(lambda: "stand-in for selftests" in server.log_tail())
    assert server.started_in_s > 0
    server.stop()
    assert owned(engine) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.endpoint.base_url + "/health")
    assert server.death is None, "a server that we stopped did not die"
    server.stop()


def test_an_image_that_leaves_its_door_open_is_closed_by_a_gateway_before_it(tmp_path: Path, start: Start, engine: Any) -> None:
    key = "key-of-the-clients-of-this-test"
    inner = contained(tmp_path, "open-door")
    outside = {"host": "127.0.0.1", "port": free_port("127.0.0.1")}
    plan = behind_gateway(inner, Keys(api_key=key), **outside, environ=os.environ, folder=tmp_path)
    server = start(plan)
    assert httpx.post(inner.endpoint.base_url + "/invocations", json={"prompt": "1+1="}).status_code == 200, "it is open itself"
    with WireClient(server.endpoint.base_url, MODEL, api_key=key) as client:
        assert client.post("/v1/completions", client.body(prompt="1+1=")).status == 200
        assert walk(client, key).found == []
    server.stop()
    assert owned(engine) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.endpoint.base_url + "/health")


def test_answers_under_way_come_to_their_end_where_it_is_asked_to_finish(tmp_path: Path, start: Start) -> None:
    """They go on for longer than the grace of a plain stop."""
    plan = contained(tmp_path)
    server = start(replace(plan, argv=(*plan.argv, "--itl-ms", "100")))
    streams = Streams(server.endpoint.base_url, model=MODEL, tokens=30, count=4)
    server.finish(40)
    server.stop()
    assert streams.whole() == 4


def test_the_launcher_has_a_name(engine: Any) -> None:
    assert isinstance(make_launcher("docker"), DockerLauncher)


def test_the_line_that_is_shown_starts_the_same_server(tmp_path: Path, engine: Any) -> None:
    plan = contained(tmp_path, env={"HF_TOKEN": "hf_secret_of_this_test", "GREETING": "two words"}, memory_gib=0.5)
    line = plan.command()
    assert "hf_secret" not in line
    name = f"pasted-{os.getpid()}"
    words = [word if word != "--rm" else f"--rm --name={name} -d" for word in line.split(" ")]
    try:
        subprocess.run(["bash", "-c", " ".join(words)], check=True, env={**os.environ, "HF_TOKEN": "x"}, capture_output=True)
        answers = lambda: httpx.get(plan.endpoint.base_url + "/health").status_code == 200  # noqa: E731
        assert comes_true(lambda: _quietly(answers))
        told = engine.containers.get(name).attrs
        assert {"HF_TOKEN=x", "GREETING=two words"} <= set(told["Config"]["Env"])
        assert told["HostConfig"]["Memory"] == told["HostConfig"]["MemorySwap"] == 512 * 1024**2
    finally:
        engine.containers.get(name).remove(force=True)


def _quietly(ask: Callable[[], bool]) -> bool:
    try:
        return ask()
    except httpx.HTTPError:
        return False


def test_a_missing_image_is_told_in_one_line(tmp_path: Path, start: Start) -> None:
    with pytest.raises(LaunchError, match="the image is not here") as caught:
        start(contained(tmp_path, image="no-such-image:of-this-test"))
    assert "no-such-image:of-this-test" in str(caught.value)
    assert "docker pull" in caught.value.hint
    assert len(str(caught.value).splitlines()) == 1


def test_exit_at_start_is_told_with_code_and_log(tmp_path: Path, start: Start) -> None:
    began = time.monotonic()
    with pytest.raises(LaunchError, match="exit code 9") as caught:
        start(contained(tmp_path, "exit-at-start=9", startup_timeout_s=300))
    assert time.monotonic() - began < PROMPT_S, "it waited although the container was gone"
    assert "cannot start, on purpose" in caught.value.log_tail
    assert len(str(caught.value).splitlines()) == 1


def test_a_command_that_the_image_lacks_is_told(tmp_path: Path, start: Start) -> None:
    with pytest.raises(LaunchError, match=r"does not start the container.*no-such-program") as caught:
        start(contained(tmp_path, argv=("no-such-program",)))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("fault", ["hang-at-start", "listen-but-not-healthy"])
def test_a_server_that_does_not_become_ready_is_given_up_in_time(tmp_path: Path, start: Start, fault: str) -> None:
    began = time.monotonic()
    with pytest.raises(LaunchError, match="not ready after"):
        start(contained(tmp_path, fault, startup_timeout_s=2))
    assert 2 <= time.monotonic() - began < 2 + PROMPT_S


def test_a_port_in_use_is_told_and_its_owner_left_alone(tmp_path: Path, start: Start, engine: Any) -> None:
    with running() as other:
        with pytest.raises(LaunchError, match=f"port {other.port} is in use"):
            start(contained(tmp_path, port=other.port))
        assert httpx.get(other.base_url + "/health").status_code == 200


def test_memory_beyond_the_limit_is_called_so(tmp_path: Path, start: Start, engine: Any) -> None:
    hungry = ("python3", "-S", "-E", "/repo/selftests/serving/hungry.py", "--host", "0.0.0.0", "--port", str(PORT))
    server = start(contained(tmp_path, argv=(*hungry, "--model", MODEL), memory_gib=0.125))
    only_container(engine).exec_run(["touch", "/tmp/eat"])
    assert server.died_within(PROMPT_S)
    assert str(server.death) == "the server died (signal 9, killed for its memory limit of 0.125 GiB: out of memory)"
    with pytest.raises(ServerLost, match="out of memory"):
        server.require_alive()


def test_a_start_that_needs_too_much_memory_is_called_so(tmp_path: Path, start: Start) -> None:
    with pytest.raises(LaunchError, match=r"out of memory.* before it was ready"):
        start(contained(tmp_path, argv=("python3", "-c", "b'x' * 400_000_000"), memory_gib=0.125))


def test_a_killed_container_is_noticed_within_a_second_and_announced_once(tmp_path: Path, start: Start, engine: Any) -> None:
    server = start(contained(tmp_path))
    heard: list[Death] = []
    announced = threading.Event()
    server.on_death(lambda death: (heard.append(death), announced.set()))  # type: ignore[func-returns-value]
    only_container(engine).kill()
    assert server.died_within(1), "a death is to be noticed within a second"
    assert str(server.death) == "the server died (signal 9)"
    assert "stand-in for selftests" in server.death.log_tail  # type: ignore[union-attr]
    assert announced.wait(5)
    server.stop()
    assert len(heard) == 1


def test_a_crash_tells_its_code(tmp_path: Path, start: Start) -> None:
    server = start(contained(tmp_path, "die-after=1"))
    with pytest.raises(httpx.HTTPError):
        httpx.post(server.endpoint.base_url + "/v1/completions", json={"model": MODEL, "prompt": "1+1="}, timeout=10)
    assert server.died_within(PROMPT_S)
    assert str(server.death) == "the server died (exit code 17)"


def test_a_container_removed_from_outside_is_no_fault_of_the_server(tmp_path: Path, start: Start, engine: Any) -> None:
    server = start(contained(tmp_path))
    only_container(engine).remove(force=True)
    assert server.died_within(PROMPT_S)
    assert server.death is not None


@pytest.mark.parametrize("fault", ["ignore-sigterm", "spawn-child"])
def test_stop_ends_a_stubborn_server(tmp_path: Path, start: Start, fault: str) -> None:
    start(contained(tmp_path, fault)).stop()


def test_a_paused_container_is_stopped_too(tmp_path: Path, start: Start, engine: Any) -> None:
    server = start(contained(tmp_path))
    only_container(engine).pause()
    server.stop()
    assert owned(engine) == []


def test_an_interrupt_while_it_starts_leaves_nothing(tmp_path: Path, start: Start, engine: Any) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        DockerLauncher().start(contained(tmp_path, "listen-but-not-healthy"), interrupt)
    assert owned(engine) == []


@pytest.fixture
def doorway(tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doorway]:
    real = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not real.startswith("unix://"):
        pytest.skip("not tested: the daemon has no socket here")
    door = Doorway(tmp_path / "docker.sock", real.removeprefix("unix://"))
    monkeypatch.setenv("DOCKER_HOST", door.url)
    yield door
    door.close()


def test_a_daemon_that_goes_is_an_error_and_not_a_failure(tmp_path: Path, start: Start, doorway: Doorway, engine: Any) -> None:
    """And the container goes as soon as the daemon is back."""
    server = DockerLauncher().start(contained(tmp_path), lambda _: None)
    doorway.close()
    assert server.died_within(1)
    assert "the Docker daemon is gone" in str(server.death)
    with pytest.raises(InfrastructureError, match="daemon is gone"):
        server.require_alive()
    with pytest.raises(InfrastructureError, match="could not be removed"):
        server.stop()
    assert len(owned(engine)) == 1, "nobody can remove it now"
    doorway.open()
    assert comes_true(lambda: not owned(engine), within_s=PROMPT_S)


def test_a_lost_connection_is_no_lost_daemon(tmp_path: Path, start: Start, doorway: Doorway, engine: Any) -> None:
    server = DockerLauncher().start(contained(tmp_path), lambda _: None)
    doorway.close()
    doorway.open()
    assert not server.died_within(1)
    only_container(engine).kill()
    assert server.died_within(PROMPT_S)
    assert "signal 9" in str(server.death)
    server.stop()


@pytest.fixture
def holder(tmp_path: Path, start: Start) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds a container."""
    command = [sys.executable, "-m", "selftests.serving.holder", str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_killed_starter_leaves_no_container(holder: subprocess.Popen[str], engine: Any) -> None:
    assert len(owned(engine)) == 1
    holder.send_signal(signal.SIGKILL)
    assert comes_true(lambda: not owned(engine), within_s=PROMPT_S)


def test_what_even_a_killed_leash_left_is_swept_at_the_next_start(
    tmp_path: Path, holder: subprocess.Popen[str], start: Start, engine: Any
) -> None:
    left = only_container(engine)
    for pid in leashes(left.name):
        os.kill(pid, signal.SIGKILL)
    holder.kill()
    holder.wait()
    assert comes_true(lambda: not alive(holder.pid))
    start(contained(tmp_path)).stop()
    assert left.id not in {container.id for container in owned(engine)}


def test_a_living_neighbour_is_not_swept(tmp_path: Path, holder: subprocess.Popen[str], start: Start, engine: Any) -> None:
    left = only_container(engine)
    start(contained(tmp_path)).stop()
    assert [container.id for container in owned(engine)] == [left.id]


def test_a_secret_does_not_reach_the_log(tmp_path: Path, start: Start) -> None:
    program = "import os, sys; print('token', os.environ['HF_TOKEN'], flush=True); sys.exit(4)"
    with pytest.raises(LaunchError) as caught:
        start(contained(tmp_path, argv=("python3", "-c", program), env={"HF_TOKEN": "secret-of-this-test"}))
    assert "token [redacted]" in caught.value.log_tail
    assert "secret-of-this-test" not in (tmp_path / "server.log").read_text(encoding="utf-8")


def test_the_image_tells_the_facts_of_its_own_python(start: Start) -> None:
    plan = ContainerPlan(image=BASE, port=PORT)
    files = {"/tmp/facts.py": facts_program()}
    output = run_in_image(plan, ["python3", "-I", "/tmp/facts.py"], env={"VLLM_SEEN": "1"}, files=files)
    facts = parse(output, where=BASE)
    assert facts.python_version.startswith("3.11")
    assert facts.environment["VLLM_SEEN"] == "1"
    assert shlex.quote(facts.python_executable) == facts.python_executable


def test_a_command_in_the_image_that_fails_is_told(start: Start) -> None:
    plan = ContainerPlan(image=BASE, port=PORT)
    with pytest.raises(LaunchError, match="exit code 3: the last word"):
        run_in_image(plan, ["python3", "-c", "import sys; print('the last word', file=sys.stderr); sys.exit(3)"], env={})
    with pytest.raises(LaunchError, match="cannot be run in it"):
        run_in_image(plan, ["no-such-program"], env={})
    with pytest.raises(LaunchError, match="cannot be run in it"):
        run_in_image(plan, ["python3", "-c", "import time; time.sleep(60)"], env={}, timeout_s=0.5)


def test_the_documents_of_a_run_are_shown_to_its_container(tmp_path: Path, start: Start, engine: Any) -> None:
    (cell,) = load_catalogue([spec_folder(tmp_path / "specs")]).select(
        Selection(models=("Small-1B",), device="cpu", impl="plain")
    )
    for name in ("model_specification_Small-1B_CPU.json", "runtime_environment.json"):
        (tmp_path / name).write_text(f"this is {name}")
    start(with_documents(contained(tmp_path), cell, tmp_path))
    code, output = only_container(engine).exec_run("sh -c 'cd /workspace && cat *; echo > runtime_environment.json'")
    assert b"this is model_specification_Small-1B_CPU.jsonthis is runtime_environment.json" in output
    assert code != 0, "they are there to be read"


def test_an_image_tells_of_itself_where_its_devices_are_not(engine: Any) -> None:
    plan = ContainerPlan(image=BASE, port=PORT, devices=("/dev/none-here",))
    with pytest.raises(LaunchError, match="none-here"):
        run_in_image(plan, ["python3", "-V"], env={})
    assert run_in_image(without_devices(plan), ["python3", "-V"], env={}).startswith("Python 3")
