"""Bodies in time and within the memory of all, without a socket or a clock."""

from __future__ import annotations

import pytest

from hallmark_services.gateway.heads import parse_request_head
from hallmark_services.gateway.intake import Intake
from hallmark_services.gateway.memory import RequestMemory
from hallmark_services.gateway.refusals import Refusal
from hallmark_services.gateway.settings import MIB, Settings

HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d"
SETTINGS = Settings(body_rate_kib_s=1, body_window_s=10, body_timeout_s=35)


def begun(length: int, memory: RequestMemory | None = None) -> Intake:
    """An intake that expects a body of `length` bytes from second 0 on."""
    intake = Intake(SETTINGS, memory or RequestMemory(SETTINGS.request_memory_bytes))
    assert intake.expect_body(parse_request_head(HEAD % length), limit=64 * MIB, now_s=0) == 10
    return intake


def take(intake: Intake, size: int) -> bool:
    """Whether the body is whole after `size` more bytes."""
    intake.buffer += b"x" * size
    return intake.body() is not None


def test_a_body_may_take_its_time_while_it_brings_enough() -> None:
    intake = begun(10**6)
    for seconds, next_look in ((10, 20), (20, 30), (30, 35)):
        take(intake, 10_240)
        assert intake.next_deadline_s(seconds) == next_look


def test_a_body_that_brings_too_little_is_given_up() -> None:
    intake = begun(10**6)
    take(intake, 10_240)
    intake.next_deadline_s(10)
    take(intake, 10_239)
    with pytest.raises(Refusal, match="more slowly than 1 KiB/s over 10 s") as refused:
        intake.next_deadline_s(20)
    assert refused.value.status == 408


def test_bytes_around_the_content_do_not_count_as_progress() -> None:
    """Chunks of one byte with long extensions would otherwise look like a fast body."""
    intake = Intake(SETTINGS, RequestMemory(SETTINGS.request_memory_bytes))
    head = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked"
    intake.expect_body(parse_request_head(head), limit=64 * MIB, now_s=0)
    intake.buffer += (b"1;" + b"y" * 2000 + b"\r\nx\r\n") * 20
    assert intake.body() is None
    with pytest.raises(Refusal, match="more slowly"):
        intake.next_deadline_s(10)


def test_a_body_has_an_end_whatever_it_brings() -> None:
    intake = begun(60 * MIB)
    take(intake, 50 * MIB)
    with pytest.raises(Refusal, match="not whole after 35 s"):
        intake.next_deadline_s(35)


def test_memory_is_shared_and_given_back() -> None:
    memory = RequestMemory(8 * MIB)
    first, second = begun(5 * MIB, memory), begun(4 * MIB, memory)
    take(first, 3 * MIB)
    take(second, 2 * MIB)
    assert memory.used == 5 * MIB
    with pytest.raises(Refusal) as refused:
        take(first, MIB + 1)
    assert (refused.value.status, refused.value.fields) == (503, ((b"retry-after", b"1"),))
    assert memory.used == 5 * MIB
    first.clear()
    assert take(second, 2 * MIB)
    assert memory.used == 4 * MIB, "whole, and still in memory"
    second.release()
    second.release()
    assert memory.used == 0


def test_a_body_that_cannot_fit_is_refused_before_it_comes() -> None:
    memory = RequestMemory(8 * MIB)
    take(begun(5 * MIB, memory), 4 * MIB)
    with pytest.raises(Refusal, match="fill the memory"):
        begun(3 * MIB, memory)
    begun(2 * MIB, memory)


def test_the_last_quarter_is_for_small_bodies() -> None:
    memory = RequestMemory(8 * MIB)
    assert take(begun(6 * MIB, memory), 6 * MIB)
    with pytest.raises(Refusal):
        begun(MIB + 1, memory)
    for _ in range(2):
        assert take(begun(MIB, memory), MIB)
    with pytest.raises(Refusal):
        begun(1, memory)
    begun(0, memory)
