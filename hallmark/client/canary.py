"""The same greedy request before and after what may have hurt the server: it must give the same answer."""

from __future__ import annotations

from typing import Any

from hallmark.client.text import part
from hallmark.client.wire import Answer, WireClient
from hallmark.core.errors import Inconclusive

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
REPEATS = 3
PROMPT = "12+34="
SPOKEN = "repeat: golden lamps"
_TOKENS = 16


def text_of(answer: Answer) -> str:
    """The text of the first choice of a completion or a chat; empty where a chat has none."""
    choice = part(answer.require(200).json(), "choices", 0)
    return str(choice["text"] if "text" in choice else (part(choice, "message").get("content") or ""))


class Canary:
    """Sings before: the answers of a healthy server. Each `same_after` asks again.

    Its answers are asked for once per cell, so that what one check did to the server does not become what others expect.
    """

    def __init__(self, client: WireClient, path: str) -> None:
        self._client = client
        self._path = path
        kept = client.watch.canaries if client.watch else {}
        if path not in kept:
            # More than once, so that the prompt is in the prefix cache, as it will be later, and a near-tie shows itself.
            kept[path] = [text_of(self._ask()) for _ in range(REPEATS)]
        self.known = kept[path]
        if len(set(self.known)) == REPEATS:
            raise Inconclusive(f"the same greedy request was answered in {REPEATS} ways before anything happened: {self.known}")

    def body(self) -> dict[str, Any]:
        asked = {"messages": [{"role": "user", "content": SPOKEN}]} if self._path == CHAT else {"prompt": PROMPT}
        return self._client.body(**asked, temperature=0, max_tokens=_TOKENS)

    def _ask(self) -> Answer:
        return self._client.post(self._path, self.body())

    def same_after(self, what: str) -> str:
        """The answer, which is one of those known; CheckFailed where it is another each time it is asked for."""
        for _ in range(REPEATS):
            answer = self._ask()
            if answer.status != 200:
                raise answer.failure(f"after {what}, a good request is answered {answer.status}: {answer.excerpt}")
            if (said := text_of(answer)) in self.known:
                return said
        raise answer.failure(f"after {what}, the same greedy request says {said!r} where it said {self.known[0]!r} before")
