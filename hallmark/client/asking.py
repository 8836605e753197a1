"""Short words for what checks ask most: a completion, a chat, either as a stream, and many of them at the same time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hallmark.client.wire import WireClient

COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"
PATHS: Mapping[str, str] = {"completions": COMPLETIONS, "chat": CHATS}
"""Feature -> its route."""
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


def saying(endpoint: str, text: str) -> dict[str, Any]:
    """The fields of a request that say `text` to a model, as the endpoint wants them."""
    return {"prompt": text} if endpoint == "completions" else {"messages": [{"role": "user", "content": text}]}


def ask(client: WireClient, endpoint: str, **fields: Any) -> dict[str, Any]:
    """What `endpoint` (`completions`, `chat`) answers, greedy unless asked otherwise; CheckFailed for another status than 200."""
    return _whole(client, PATHS[endpoint], fields)


def text_of(choice: Mapping[str, Any]) -> str:
    """The text of a choice of a completion or of a chat; "" where it is null."""
    return str(choice.get("text") or (choice.get("message") or {}).get("content") or "")


def streamed(client: WireClient, path: str, **fields: Any) -> list[dict[str, Any]]:
    """Every event of a stream with its usage, greedy unless asked otherwise; CheckFailed where it breaks."""
    asked = {"temperature": 0, "stream": True, "stream_options": {"include_usage": True}, **fields}
    return list(client.stream(path, client.body(**asked)))


def together(calls: Iterable[Callable[[], Found]], *, at_once: int = AT_ONCE) -> list[Found]:
    """What the calls return, in their order; so many run at the same time. The first that raises, raises here."""
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]
