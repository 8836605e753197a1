"""Faults of the engine behind the gateway, the end of the gateway by signals, and the image's entrypoint under both."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.attacks.staging import Outcome, Stage, attack
from hallmark.serving.ports import free_port
from selftests.core.polling import alive, comes_true
from selftests.engine.entrypoint import image
from selftests.engine.supervising import POLITE, STUBBORN, WAIT, supervised
from selftests.faulty import running
from selftests.gateway.crowds import ASK, Held
from selftests.gateway.gateways import Running, everything
from selftests.gateway.scripted import plain, scripted
from selftests.gateway.streams import Streams

START = Path(__file__).resolve().parents[2] / "engine" / "start.py"
QUICK = {"GATEWAY_PROBE_EVERY_S": "0.2", "GATEWAY_STALL_S": "1.5", "JWT_SECRET": ""}
LAST = ASK.replace(b"Host: x", b"Host: x\r\nConnection: close")
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@attack("gateway", "an engine that is killed", "502 and a red /healthz, while /livez stays 200")
def dead_engine(stage: Stage) -> Outcome:
    port = free_port("127.0.0.1")
    with stage.gateway(f"http://127.0.0.1:{port}", **QUICK) as front, running(port=port) as engine:
        front.becomes("ok")
        engine.process.kill()
        began = time.monotonic()
        down = front.becomes("down")
        took = time.monotonic() - began
        said, live = front.raw(LAST)[9:12], front.raw(b"GET /livez HTTP/1.0\r\n\r\n")[9:12]
    return Outcome(down and said == b"502" and live == b"200", f"{said.decode()}; red after {took:.1f} s; /livez {live.decode()}")


@attack("gateway", "an engine that is stopped (SIGSTOP) and goes on", "red while it stands, green again afterwards")
def frozen_engine(stage: Stage) -> Outcome:
    with running() as engine, stage.gateway(engine.base_url, **QUICK) as front:
        front.becomes("ok")
        os.kill(engine.process.pid, signal.SIGSTOP)
        began = time.monotonic()
        stuck = front.becomes("stuck")
        took = time.monotonic() - began
        os.kill(engine.process.pid, signal.SIGCONT)
        again = front.becomes("ok")
    return Outcome(stuck and again, f"red after {took:.1f} s, green again: {'yes' if again else 'no'}")


@attack("gateway", "an engine that never answers", "504 after its time of 1 s, and the engine is told")
def hung_engine(stage: Stage) -> Outcome:
    told = threading.Event()
    with (
        scripted(lambda turn: told.set() if turn.gone() else None) as engine,
        stage.gateway(engine.url, GATEWAY_FIRST_BYTE_TIMEOUT_S="1", JWT_SECRET="") as front,
    ):
        front.becomes("ok")
        began = time.monotonic()
        said = front.raw(LAST)[9:12]
        took = time.monotonic() - began
        heard = told.wait(5)
    return Outcome(said == b"504" and heard, f"{said.decode()} after {took:.1f} s; the engine was told: {heard}")


def broken_answer(answer: bytes, whole: bytes, stage: Stage) -> Outcome:
    with scripted() as engine, stage.gateway(engine.url, JWT_SECRET="") as front:
        front.becomes("ok")
        engine.answers(answer, closes=True)
        got = front.raw(LAST)
    status = got[9:12].decode() or "nothing"
    looks_whole = got.startswith(b"HTTP/1.1 200") and got.endswith(whole)
    passed = b"secret-of-the-second" in got
    return Outcome(not looks_whole and not passed, f"the client got {status}{', cut' if status == '200' else ''}")


for _name, _answer, _whole in (
    ("an engine that speaks another protocol", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b""),
    ("an engine that switches protocols", b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", b""),
    ("an answer of two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", b""),
    ("an answer whose head does not end", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, b""),
    ("a second answer behind the first", plain(b"{}") + plain(b"secret-of-the-second"), b"secret-of-the-second"),
    ("a stream cut between chunks", CHUNKS + b"8\r\ndata: 1\n\r\n", b"0\r\n\r\n"),
    ("a stream cut within a chunk", CHUNKS + b"8\r\nda", b"0\r\n\r\n"),
    ("a chunk size that is none", CHUNKS + b"zz\r\n", b"0\r\n\r\n"),
):
    attack("gateway", _name, "no client takes it for a whole answer")(partial(broken_answer, _answer, _whole))


@contextlib.contextmanager
def held_streams(
    stage: Stage, count: int, held: Held, **settings: str
) -> Iterator[tuple[Running, list[socket.socket], list[bytes]]]:
    """So many begun answers, and what came of each."""
    with scripted(held) as engine, stage.gateway(engine.url, JWT_SECRET="", **settings) as front, contextlib.ExitStack() as stack:
        front.becomes("ok")
        connections = [stack.enter_context(front.connect()) for _ in range(count)]
        for connection in connections:
            connection.sendall(ASK)
        yield front, connections, [connection.recv(1000) for connection in connections]
        held.go.set()


def refuses(front: Running) -> bool:
    """Whether it takes no new connection."""
    try:
        front.connect().close()
    except OSError:
        return True
    return False


@attack("gateway", "SIGTERM with 32 streams under way", "each of them ends whole, nothing new is taken, exit 0")
def drained(stage: Stage) -> Outcome:
    held = Held()
    with held_streams(stage, 32, held) as (front, connections, begun):
        front.process.send_signal(signal.SIGTERM)
        closed = comes_true(lambda: refuses(front), within_s=10)
        held.go.set()
        whole = sum((a + everything(b)).endswith(b"0\r\n\r\n") for a, b in zip(begun, connections, strict=True))
        code = front.process.wait(10)
    return Outcome(whole == 32 and closed and code == 0, f"{whole} of 32 whole, exit {code}")


@attack("gateway", "SIGTERM with a stream that does not end", "cut at the end of the grace of 0.5 s, and not taken for whole")
def not_drained(stage: Stage) -> Outcome:
    with held_streams(stage, 1, Held(), STOP_GRACE_S="0.5") as (front, connections, _):
        began = time.monotonic()
        front.process.send_signal(signal.SIGTERM)
        code = front.process.wait(10)
        took = time.monotonic() - began
        whole = everything(connections[0]).endswith(b"0\r\n\r\n")
    return Outcome(code == 0 and took < 3 and not whole, f"exit {code} after {took:.1f} s")


@attack("gateway", "a second SIGTERM", "it ends at once")
def second_signal(stage: Stage) -> Outcome:
    with held_streams(stage, 1, Held()) as (front, _, _):
        front.process.send_signal(signal.SIGTERM)
        comes_true(lambda: refuses(front), within_s=10)
        began = time.monotonic()
        front.process.send_signal(signal.SIGTERM)
        code = front.process.wait(20)
        took = time.monotonic() - began
    return Outcome(code == 0 and took < 5, f"exit {code} after {took:.1f} s")


# -- the image's entrypoint, in no container


@attack("entrypoint", "a stop with 32 streams under way", "each of them ends whole, no process is left")
def image_stopped(stage: Stage) -> Outcome:
    with image(stage.folder, "--itl-ms", "50", STOP_GRACE_S="20") as up:
        up.up()
        streams = Streams(up.url, model="stand-in", tokens=60)
        up.process.send_signal(signal.SIGTERM)
        whole = streams.whole()
        up.end()
        code = up.process.returncode
    return Outcome(whole == 32 and code == 0, f"{whole} of 32 whole, exit {code}")


@attack("entrypoint", "vLLM that is killed", "the container ends with 137, and the gateway with it")
def image_engine_killed(stage: Stage) -> Outcome:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with supervised(f"gateway={WAIT}", f"vLLM={code}") as held:
        said = held.rest()
    left = sum(alive(pid) for pid in held.pids)
    return Outcome("ended: vLLM 137\n" in said and not left, f"{said.splitlines()[-1]}; {left} processes left")


@attack("entrypoint", "a child that ignores SIGTERM", "killed at the end of the grace of 0.3 s")
def image_stubborn(stage: Stage) -> Outcome:
    with supervised(f"vLLM={STUBBORN}", f"gateway={POLITE}", grace_s=0.3) as held:
        held.hear("up", times=2)
        began = time.monotonic()
        held.process.send_signal(signal.SIGTERM)
        held.rest()
        took = time.monotonic() - began
    left = sum(alive(pid) for pid in held.pids)
    return Outcome(took < 8 and not left, f"ended after {took:.1f} s; {left} processes left")


@attack("entrypoint", "settings that cannot be meant", "exit 2 and one line for each, nothing is started, no secret is shown")
def image_settings(stage: Stage) -> Outcome:
    wrong = (
        {"PORT": "x"},
        {"TENSOR_PARALLEL": "0"},
        {"STOP_GRACE_S": "soon"},
        {"MAX_MODEL_LEN": "none"},
        {"JWT_SECRET": "short-secret"},
    )
    good = 0
    for environ in wrong:
        ended = subprocess.run(
            [sys.executable, str(START)],
            env={"PATH": os.environ["PATH"], **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        said = ended.stdout + ended.stderr
        good += ended.returncode == 2 and "Traceback" not in said and "short-secret" not in said
    return Outcome(good == len(wrong), f"{good} of {len(wrong)} end 2 with a line")
