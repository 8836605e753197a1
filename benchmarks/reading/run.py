"""How quickly the answers of a point are read: an event at a time, and in runs of events that are alike, in one run.

python benchmarks/reading/run.py [--requests 200] [--rounds 20]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from array import array
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from hallmark.client.answer_watch import AnswerWatch
from hallmark.perf.connection import TimedRequest
from hallmark.perf.loops import no_garbage_collection
from hallmark.perf.reading import read_timed
from hallmark.perf.runs import Run, events_of, first_choice, runs_of, text_of
from hallmark.perf.sample import Sample

ISL, OSL = 8, 512
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WORDS = (" the", " quick", "\u00e9t\u00e9", " fox", "", "\n", " jumps", ' "over"')
GOAL = 1_000_000
KINDS = (
    ("usual", False, False, False),
    ("usual, watched", False, True, False),
    ("usual, cut elsewhere", False, False, True),
    ("never alike", True, False, False),
)
"""Name, whether with log-probabilities, whether watched, and whether pieces end elsewhere than events."""

Way = Callable[[TimedRequest], list[Run]]


def an_event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def an_answer(number: int, *, logprobs: bool) -> TimedRequest:
    timed = TimedRequest(start=0.0)
    timed.answer.feed(HEAD)
    head = {"id": f"cmpl-{number:032x}", "object": "text_completion", "created": 1_764_000_000, "model": "hallmark-tiny"}
    for place in range(OSL):
        choice = {
            "index": 0,
            "text": WORDS[(7 * place + number) % len(WORDS)],
            "logprobs": {"token_logprobs": [-place / OSL]} if logprobs else None,
            "finish_reason": "length" if place == OSL - 1 else None,
            "stop_reason": None,
            "token_ids": None,
            "prompt_logprobs": None,
        }
        timed.pieces.append((1.0 + place, an_event({**head, "choices": [choice], "usage": None})))
    usage = {"prompt_tokens": ISL, "completion_tokens": OSL, "total_tokens": ISL + OSL}
    timed.pieces += [(1.0 + OSL, an_event({**head, "choices": [], "usage": usage})), (1.0 + OSL, b"data: [DONE]\n\n")]
    timed.answer.feed(b"0\r\n\r\n")
    return timed


def cut_elsewhere(timed: TimedRequest) -> TimedRequest:
    """The same bytes, but no piece ends where an event does."""
    moments, data = [moment for moment, _ in timed.pieces], b"".join(piece for _, piece in timed.pieces)
    size = len(data) // len(moments) + 1
    timed.pieces = [(moment, data[place * size : (place + 1) * size]) for place, moment in enumerate(moments)]
    return timed


def an_event_at_a_time(timed: TimedRequest) -> list[Run]:
    return [
        Run(body, array("d", [moment]), bytes([bool(text_of(first_choice(body)))])) for moment, body in events_of(timed.pieces)
    ]


def in_runs(timed: TimedRequest) -> list[Run]:
    return list(runs_of(timed.pieces))


def tokens_a_second(answers: list[TimedRequest], way: Way, watch: AnswerWatch | None) -> float:
    for timed in answers:
        timed.runs = []  # what the other way left: to free it is no part of this one
    with no_garbage_collection():  # as in a point
        begun = time.process_time()
        for timed in answers:
            timed.runs = way(timed)
            if not isinstance(read_timed(timed, isl=ISL, osl=OSL, watch=watch), Sample):
                sys.exit("an answer was not read")
        return len(answers) * OSL / (time.process_time() - begun)


def bytes_a_token(make: Callable[[], object]) -> float:
    tracemalloc.start()
    kept = make()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return used / OSL


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--requests", type=int, default=200)
    options.add_argument("--rounds", type=int, default=20)
    given = options.parse_args()
    print("| answers | an event at a time, tokens/s | in runs, tokens/s | times as many |\n|---|---|---|---|")
    most = 0.0
    for name, logprobs, watched, cut in KINDS:
        answers = [an_answer(number, logprobs=logprobs) for number in range(given.requests)]
        answers = [cut_elsewhere(timed) for timed in answers] if cut else answers
        share = max(1, given.requests // given.rounds)
        turns = [answers[at : at + share] for at in range(0, len(answers), share)]
        found: dict[Way, list[float]] = {an_event_at_a_time: [], in_runs: []}
        for number, turn in enumerate(turns):
            for way, rates in reversed(found.items()) if number % 2 else found.items():
                rates.append(tokens_a_second(turn, way, AnswerWatch() if watched else None))
        before, now = map(statistics.median, found.values())
        most = max(most, now)
        print(f"| {name} | {_told(*found.values())} | {now / before:.1f} |", flush=True)
    as_it_came = bytes_a_token(lambda: an_answer(0, logprobs=False))
    answer = an_answer(0, logprobs=False)
    taken_apart = bytes_a_token(lambda: in_runs(answer))
    print(f"\nMemory: {as_it_came:.0f} bytes a token as it came, {taken_apart:.0f} taken apart.")
    return 0 if most >= GOAL else 1


def _told(*ways: list[float]) -> str:
    return " | ".join(f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})" for rates in ways)


if __name__ == "__main__":
    sys.exit(main())
