"""What one request and one point measured. A request that failed is a Failed, never a Sample with holes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TOKENS_PER_ARRIVAL = 8
"""More tokens than this at a time, on average, is buffering and not generation (speculation yields three or four)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A request that did all that was asked. Times are `time.perf_counter()` seconds."""

    start: float
    """When the request was due: before its connection was opened, where that was needed."""
    taken_up: float
    """When the client turned to it."""
    sent: float
    """When its last byte was handed to the kernel."""
    first_byte: float
    """When the first byte of the answer came."""
    token_times: Sequence[float]
    """When each event that carries tokens was complete; never empty."""
    end: float
    """When the last byte of the answer came."""
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Of the prompt's tokens, those that the server says it took out of a prefix cache."""
    held_s: float = 0.0
    """So long it waited for its turn: as many requests as the point allows were under way."""
    kind: str = ""
    """What it asked for besides a plain answer, where the point has `shares` (`shares.Kind.name`)."""
    turn: int = 0
    """Of its conversation, from 0 on."""

    @property
    def ttft_s(self) -> float:
        return self.token_times[0] - self.start

    @property
    def lag_s(self) -> float:
        """How much later than due the client turned to it, by its own fault: what it had to wait for its turn is not counted."""
        return self.taken_up - self.start - self.held_s

    @property
    def e2e_s(self) -> float:
        """To the last token; what the server says after it is not what a user waits for."""
        return self.token_times[-1] - self.start

    @property
    def tpot_s(self) -> float:
        """Mean time per output token after the first; of a gathered answer the most that it can have been: all its time.

        Between tokens that were held back and let go at once lies no time, and none of that is the server's merit.
        """
        return (self.e2e_s - (0.0 if self.gathered else self.ttft_s)) / (self.output_tokens - 1)

    @property
    def arrivals(self) -> int:
        """At how many distinct moments tokens came."""
        return len(set(self.token_times))

    @property
    def gathered(self) -> bool:
        """Whether something held tokens back: a gateway that buffers, or a machine that had no time for one of the two sides."""
        return self.arrivals < max(2, self.output_tokens / _TOKENS_PER_ARRIVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request that did not, and why."""

    start: float
    error: str
    late: bool = False
    """Whether nothing was wrong with the answer but that it had not come when the point's time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An answer of the window whose words are looked at (`quality.py`); its request was like every other."""

    body: bytes
    """The request's."""
    isl: int
    osl: int
    text: str
    pieces: int
    """How many events of the stream had text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointResult:
    """One measurement as it was."""

    samples: tuple[Sample, ...]
    failures: tuple[Failed, ...]
    warmup_failures: tuple[Failed, ...]
    window_s: float
    """From the first request's start to the last one's last byte."""
    stopped: str
    """Why it ended before all requests were answered; empty for a whole one."""
    seed: int
    salt: str
    sent_again: int
    """Requests of warm-up and window for which the server had closed the kept connection that they went out on."""
    cached_by_chance: float
    """Tokens per prompt that a prefix cache may hold although it has never seen the prompt (`workload.cached_by_chance`)."""
    client_delay_mean_s: float
    client_delay_max_s: float
    client_late_s: float
    """How late the client's own event loop ran, on average, at most, and in all where it is notable: the size of its error."""
    schedule: tuple[Mapping[str, Any], ...] = ()
    """What the window was to send, in the order in which it was due: one plain row per request, sent or not."""

    client_cpu_s: float = 0.0
    """CPU time of the client's process in the window; of several, of the busiest one."""
    client_processes: int = 1
    client_went_first: bool = False
    """Whether the client had a core as soon as it needed one, all the time (`first_in_line.py`)."""
    checked: tuple[Checked, ...] = ()
    """Some of its answers, evenly spread over the window."""
    left_out: tuple[Sample, ...] = ()
    """Requests that were answered in full before the server had settled, or when users had none left to send (`steady.py`): they
    count as answered, and for no time and no rate."""

    curtailed: str = ""
    """The name of the evidence that was settled before all requests were sent, so that no more were; empty for a whole one."""

    @property
    def answered(self) -> tuple[Sample, ...]:
        """Every request of the window that was answered in full."""
        return (*self.left_out, *self.samples)

    @property
    def faultless(self) -> bool:
        return not (self.failures or self.warmup_failures or self.stopped) and bool(self.samples)

    @property
    def cached_tokens(self) -> int:
        return sum(sample.cached_tokens for sample in self.answered)

    @property
    def cached_share(self) -> float:
        """The part of all prompt tokens that came out of a prefix cache."""
        return self.cached_tokens / max(1, self.prompt_tokens)

    @property
    def chance_share(self) -> float:
        """The part that random prompts may have in common with earlier ones."""
        return self.cached_by_chance * len(self.answered) / max(1, self.prompt_tokens)

    @property
    def prompt_tokens(self) -> int:
        return sum(sample.prompt_tokens for sample in self.answered)

    @property
    def only_late(self) -> bool:
        """Whether all that failed is that the point's time was over before every answer was there."""
        failures = (*self.failures, *self.warmup_failures)
        return bool(failures) and all(failure.late for failure in failures)

    def distinct_errors(self) -> list[tuple[str, int]]:
        """Each error with how often it came, the most frequent first."""
        errors = [f.error for f in self.failures] + [f"warm-up: {f.error}" for f in self.warmup_failures]
        return Counter(errors).most_common()

    def rows(self) -> list[dict[str, Any]]:
        """One plain row per request, for a run's folder."""
        first = min([s.start for s in self.samples] + [f.start for f in self.failures], default=0.0)
        good: list[dict[str, Any]] = [
            {
                "start_s": round(s.start - first, 6),
                "sent_ms": round((s.sent - s.start) * 1000, 3),
                "first_byte_ms": round((s.first_byte - s.start) * 1000, 3),
                "ttft_ms": round(s.ttft_s * 1000, 3),
                "tpot_ms": round(s.tpot_s * 1000, 4),
                "e2e_ms": round(s.e2e_s * 1000, 3),
                "prompt_tokens": s.prompt_tokens,
                "output_tokens": s.output_tokens,
                "arrivals": s.arrivals,
                "cached_tokens": s.cached_tokens,
                "kind": s.kind,
                "turn": s.turn,
            }
            for s in self.samples
        ]
        bad = [{"start_s": round(f.start - first, 6), "error": f.error} for f in self.failures]
        return sorted([*good, *bad], key=lambda row: row["start_s"])
