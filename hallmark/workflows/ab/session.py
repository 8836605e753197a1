"""One comparison from its first run to what is written down: the servers, the machine's load, the runs, the files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hallmark.core.files import write_json, write_text
from hallmark.core.load import LOAD_FILE
from hallmark.core.wording import plural
from hallmark.environment.load_watch import LoadWatch
from hallmark.perf.comparison import Comparison, judged, resolutions
from hallmark.perf.interleaved import Bounds, Interleaved, Letter, Run, run_of
from hallmark.perf.loadgen import measure
from hallmark.specs.model import PerfPoint
from hallmark.workflows.ab.servers import Servers
from hallmark.workflows.prompt_tokens import Tokens
from hallmark.workflows.sides import Side

COMPARISON_FILE = "comparison.json"
PAGE_FILE = "comparison.html"
_SEED = 20261127
"""Of the random prompts; each run has a salt of its own, so that no server has seen a prompt before."""
_LONGEST_RUN_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a comparison needs besides its two sides."""

    point: PerfPoint
    tokens: Tokens
    bounds: Bounds
    in_turn: bool
    folder: Path
    say: Callable[[str], None]
    """Hears what stays on the screen."""
    progress: Callable[[str], None]
    """Hears what goes on right now."""

    def compare(self, baseline: Side, candidate: Side) -> Comparison:
        """Measure both in turns; the same object twice is one server compared with itself."""
        started_at, began = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
        servers = Servers(baseline, candidate, in_turn=self.in_turn, folder=self.folder, tell=self.say)
        self.say(f"{servers.arrangement}; {self.point.name}, {plural(self.point.requests, 'request')} a run")
        watch = LoadWatch(self.folder / LOAD_FILE, servers.processes).start()
        interleaved = Interleaved(
            lambda letter: self._run(letter, servers, watch),
            self.bounds,
            clock=time.monotonic,
            pause=threading.Event().wait,
            tell=self.progress,
        )
        try:
            with servers:
                for letter in servers.standing:  # what a server does once, it does before what counts
                    self._run(letter, servers, watch)
                interleaved.carry_out()
        finally:
            watch.stop()
        return Comparison(
            baseline=baseline.title,
            candidate=candidate.title,
            same=servers.same,
            arrangement=servers.arrangement,
            point=self.point,
            bounds=self.bounds,
            runs=tuple(interleaved.runs),
            repeated=tuple(interleaved.repeated),
            planned=interleaved.planned,
            evidence=tuple(judged(interleaved, self.bounds, same=servers.same)),
            resolutions=tuple(resolutions(interleaved, self.bounds)),
            started_at=started_at,
            seconds=time.monotonic() - began,
        )

    def _run(self, letter: Letter, servers: Servers, watch: LoadWatch) -> Run:
        started_at = datetime.now(UTC).isoformat(timespec="seconds")
        with servers.of(letter) as server:
            window = watch.window()
            result = measure(
                server.endpoint.base_url,
                server.endpoint.model,
                self.point,
                vocabulary=self.tokens.vocabulary,
                tokenizer=self.tokens.tokenizer,
                api_key=server.endpoint.api_key,
                seed=_SEED,
                limit_s=self.point.timeout_s or _LONGEST_RUN_S,
                during=window,
                should_stop=lambda: str(server.death) if server.death else None,
            )
        return run_of(letter, result, self.point, window.load, margin=self.bounds.margin, started_at=started_at)


def write_comparison(comparison: Comparison, folder: Path, *, redact: Callable[[str], str]) -> None:
    """The comparison as JSON and as a page."""
    from hallmark.report.render_comparison import render_comparison  # brings the template engine

    write_json(folder / COMPARISON_FILE, comparison.to_plain(), redact=redact)
    write_text(folder / PAGE_FILE, redact(render_comparison(comparison)))
