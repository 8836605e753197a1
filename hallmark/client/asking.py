"""Short words for what checks ask most: a completion, a chat, either as a stream, and many of them at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hallmark.client.wire import WireClient

COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
AT_ONCE = 16
Found = TypeVar("Found")


def complete(client: WireClient, **fields: Any) -> dict[str, Any]:
    """The body of a completion, greedy unless asked otherwise; CheckFailed for any other status than 200."""
    return _whole(client, COMPLETIONS, fields)


def chat(client: WireClient, **fields: Any) -> dict[str, Any]:
    """The body of a chat's answer, greedy unless asked otherwise; CheckFailed for any other status than 200."""
    return _whole(client, CHATS, fields)


def _whole(client: WireClient, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = client.post(path, client.body(**{"temperature": 0, **fields})).require(200).json()
    return answer


def streamed(client: WireClient, path: str, **fields: Any) -> list[dict[str, Any]]:
    """Every event of a stream with its usage, greedy unless asked otherwise; CheckFailed where it breaks."""
    asked = {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **fields}
    return list(client.stream(path, client.body(**asked)))


def together(calls: Iterable[Callable[[], Found]], *, at_once: int = AT_ONCE) -> list[Found]:
    """What the calls return, in their order; so many run at the same time. The first that raises, raises here."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
