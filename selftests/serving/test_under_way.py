"""How many requests are under way, as an engine itself counts them."""

from __future__ import annotations

import pytest

from hallmark.core.endpoint import Endpoint
from hallmark.serving.under_way import requests_under_way, wait_for_answers
from selftests.faulty import running


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('vllm:num_requests_running{engine="0",model_name="m"} 3.0\nvllm:num_requests_waiting{engine="0"} 2.0\n', 5),
        ("vllm:num_requests_running 1\nsglang:num_running_reqs 7\n", 1),
        ("# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running 0.0\nvllm:num_requests_swapped 9\n", 0),
        ("", 0),
    ],
)
def test_running_and_waiting_requests_count(text: str, count: int) -> None:
    assert requests_under_way(text) == count


@pytest.mark.parametrize("faults", [(), ("no-metrics",)])
def test_where_nothing_is_under_way_or_nothing_is_told_nobody_waits(faults: tuple[str, ...]) -> None:
    """It would wait for an hour."""
    with running(*faults) as server:
        wait_for_answers(Endpoint(base_url=server.base_url, model="stand-in"), within_s=3600, gone=lambda _: False)
