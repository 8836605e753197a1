"""From the bytes of one answer, and when they came, to a Sample or a Failed. Strict, pure, and after the clock."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable

from hallmark.client.answer_watch import AnswerWatch
from hallmark.client.errors import StreamBroken, StreamTruncated
from hallmark.client.response import Response
from hallmark.client.text import count
from hallmark.core.errors import CheckFailed
from hallmark.perf.connection import TimedRequest
from hallmark.perf.runs import Run, first_choice, runs_of, text_of
from hallmark.perf.sample import Checked, Failed, Sample
from hallmark.perf.workload import Planned

_SHOWN = 200


_ASKED = {"stream": True, "ignore_eos": True}
"""What of a request of a point bears on what its answer may look like."""


def read_timed(
    timed: TimedRequest,
    *,
    isl: int,
    osl: int,
    watch: AnswerWatch | None = None,
    holds: Callable[[str], None] | None = None,
) -> Sample | Failed:
    """A Sample only where the whole answer came, of `isl` prompt and `osl` output tokens by the server's own count.

    `watch` looks at what the answer holds besides; `holds` raises CheckFailed where a chat's content is not what was asked for.
    """
    try:
        if timed.lost:
            raise StreamBroken(timed.lost)
        _require_stream(timed.answer, timed.pieces)
        runs = timed.runs or list(runs_of(timed.pieces))
        if watch:
            watch.stream(_ASKED, [run.body for run in runs], complete=True)
        cached = _check_usage(runs, isl=isl, osl=osl)
        times = _token_times(runs, osl)
        if holds:
            holds("".join(map(_content_of, runs)))
    except CheckFailed as exc:
        return Failed(start=timed.start, error=str(exc), late=timed.late)
    return Sample(
        start=timed.start,
        taken_up=timed.taken_up,
        sent=timed.sent,
        first_byte=timed.first_byte,
        token_times=times,
        end=timed.end,
        prompt_tokens=isl,
        output_tokens=osl,
        cached_tokens=cached,
        held_s=timed.held_s,
    )


def checked_in(timed: TimedRequest, planned: Planned) -> Checked:
    """What an answer says that `read_timed` found to be whole."""
    runs = timed.runs or list(runs_of(timed.pieces))
    text = "".join(text_of(first_choice(run.body)) for run in runs)
    pieces = sum(sum(run.spoken) for run in runs)
    return Checked(body=planned.body, isl=planned.isl, osl=planned.osl, text=text, pieces=pieces)


def _require_stream(answer: Response, pieces: list[tuple[float, bytes]]) -> None:
    """Raise for any answer but a stream of events under status 200 that came to its end."""
    if not answer.status:
        raise StreamTruncated("the answer is empty")
    if answer.status != 200:
        body = b"".join(data for _, data in pieces)[:_SHOWN]
        raise StreamBroken(f"HTTP {answer.status} {answer.reason}: {body.decode('utf-8', 'replace')}")
    content_type = answer.headers.get("content-type", "").lower()
    if not content_type.startswith("text/event-stream"):
        raise StreamBroken(f"asked for a stream and got content-type {content_type!r}")
    if not answer.whole and not answer.ends_with_connection:
        raise StreamTruncated("the answer ended inside its chunks")


def _check_usage(runs: list[Run], *, isl: int, osl: int) -> int:
    """How many of the prompt's tokens came out of a prefix cache; CheckFailed where the counts are not those asked for."""
    usage = next((run.body["usage"] for run in reversed(runs) if run.body.get("usage")), None)
    if not isinstance(usage, dict):
        raise CheckFailed("usage is missing from the stream")
    prompt, output = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if prompt != isl:
        raise CheckFailed(f"usage says {prompt} prompt tokens, {isl} were sent")
    if output != osl:
        raise CheckFailed(f"usage says {output} completion tokens, {osl} were asked for")
    details = usage.get("prompt_tokens_details")
    cached = count((details.get("cached_tokens") if isinstance(details, dict) else 0) or 0, "cached_tokens")
    if not 0 <= cached <= isl:
        raise CheckFailed(f"usage says that {cached} of the prompt's {isl} tokens came out of a prefix cache")
    return cached


def _content_of(run: Run) -> str:
    """What it adds to a chat's answer, without what is thought."""
    return str((first_choice(run.body).get("delta") or {}).get("content") or "")


def _token_times(runs: list[Run], osl: int) -> array[float]:
    """When tokens came. An event with text carries some; one without may be an unfinished character, or nothing.

    With exactly OSL events one without text counts, but not before the first text: two tokens in one later event would make
    up the number. Otherwise those without text are left out. Either way the first token can only be later, and a server
    cannot gain by announcing one that it does not have.
    """
    moments, spoken = array("d"), b""
    for run in runs:
        if run.announces:
            moments.extend(itertools.compress(run.moments, run.spoken))
            spoken += bytes(filter(None, run.spoken))
        elif run.body.get("choices"):
            moments.extend(run.moments)
            spoken += run.spoken
    if not any(spoken):
        raise CheckFailed("no event of the stream carries text")
    if len(moments) == osl:
        return moments[spoken.index(1) :]
    times = array("d", itertools.compress(moments, spoken))
    if len(times) > osl:
        raise CheckFailed(f"{len(times)} events carry text, but usage says {osl} tokens")
    return times
