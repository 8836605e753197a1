"""Many streams at once, each read to its end: how many of them came whole."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor

import httpx


class Streams:
    """`count` streams of `tokens` tokens each from `url`; returns when the first event of each is there."""

    def __init__(self, url: str, *, model: str, tokens: int, count: int = 32, key: str = "") -> None:
        self._body = {"model": model, "prompt": "1+1=", "max_tokens": tokens, "ignore_eos": True, "stream": True}
        self._begun = threading.Semaphore(0)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=count)
        self._client = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60, limits=limits)
        self._pool = ThreadPoolExecutor(count)
        self._read: list[Future[bool]] = [self._pool.submit(self._one) for _ in range(count)]
        for _ in range(count):
            assert self._begun.acquire(timeout=30), "a stream did not begin"

    def _one(self) -> bool:
        """Whether it came whole: with its last event, and no error before the end of the answer."""
        text = ""
        try:
            with self._client.stream("POST", "/v1/completions", json=self._body) as answer:
                for piece in answer.iter_text():
                    if not text:
                        self._begun.release()
                    text += piece
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and text.endswith("data: [DONE]\n\n")

    def whole(self) -> int:
        """How many came whole, once all have ended."""
        with self._pool, contextlib.closing(self._client):
            return sum(found.result(60) for found in self._read)
