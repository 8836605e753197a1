"""Records an engine's exposition: serves a handful of requests by it and writes what its /metrics says then.

    python selftests/sidecar/record.py http://127.0.0.1:8000 hallmark-tiny OUT [--lora NAME] [--settle 12]

The requests are the same for every engine: three short ones in turn, four of 24 tokens at once of which two are streamed,
and one by the adapter where one is named. `--settle` is for engines that log now and then, in seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx


def requests(model: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(in turn, at once)."""
    greedy = {"model": model, "temperature": 0}
    short = [{**greedy, "prompt": f"{a}+{b}=", "max_tokens": 8} for a, b in ((12, 34), (57, 23), (80, 11))]
    long = {**greedy, "max_tokens": 24, "ignore_eos": True}
    return short, [{**long, "prompt": f"count from {start}: 1 2 3 4 ", "stream": start % 2 == 0} for start in range(4)]


def complete(client: httpx.Client, body: dict[str, Any]) -> str:
    """The text of the answer; SystemExit on a refusal."""
    answer = client.post("/v1/completions", json=body)
    if answer.status_code != 200:
        sys.exit(f"{answer.status_code} for {body}: {answer.text}")
    if not body.get("stream"):
        return str(answer.json()["choices"][0]["text"])
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    return "".join(json.loads(event)["choices"][0]["text"] for event in events)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--lora", default="")
    parser.add_argument("--settle", type=float, default=0.0)
    options = parser.parse_args()
    in_turn, at_once = requests(options.model)
    if options.lora:
        in_turn.append({**in_turn[0], "model": options.lora})
    with httpx.Client(base_url=options.url, timeout=300, trust_env=False, follow_redirects=True) as client:
        for body in in_turn:
            print(body["prompt"], repr(complete(client, body)))
        with ThreadPoolExecutor(len(at_once)) as pool:
            for body, text in zip(at_once, pool.map(lambda body: complete(client, body), at_once), strict=True):
                print(body["prompt"], repr(text))
        threading.Event().wait(options.settle)
        answer = client.get("/metrics")
    options.out.write_bytes(answer.content)
    print(answer.status_code, answer.headers["content-type"], len(answer.content), "bytes")
    return 0 if answer.status_code == 200 else 1


if __name__ == "__main__":
    raise SystemExit(main())
