"""A port for a server that will listen only later: nothing else on the machine may be given it before."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from hallmark.serving import ports

HOST = "127.0.0.1"


def outgoing_ports(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "range").write_text(text)
    monkeypatch.setattr(ports, "_OUTGOING", folder / "range")


@pytest.mark.parametrize(("text", "kept"), [("32768\t60999\n", range(10_000, 32_768)), ("1024 50000", range(50_001, 65_536))])
def test_none_that_the_kernel_gives_to_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kept: range) -> None:
    outgoing_ports(tmp_path, monkeypatch, text)
    assert all(ports.free_port(HOST) in kept for _ in range(50))


@pytest.mark.parametrize("text", ["", "many", "1024 65535"])
def test_where_the_kernel_says_nothing_of_use_it_is_still_a_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    outgoing_ports(tmp_path, monkeypatch, text)
    with socket.socket() as server:
        server.bind((HOST, ports.free_port(HOST)))


def test_one_that_is_in_use_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ports.free_port(HOST)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        candidates = [taken.getsockname()[1], free]
        monkeypatch.setattr(random, "sample", lambda among, count: candidates)
        assert ports.free_port(HOST) == free
