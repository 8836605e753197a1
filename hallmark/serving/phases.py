"""Which phase a starting server is in, in plain words, told from the lines that vLLM (and what it uses) logs."""

from __future__ import annotations

import re
from collections.abc import Iterable

STARTING = "starting"
"""While no line has told more."""

_PROGRESS = r":\s+\d+%.*?\|\s*(\d+)/(\d+)"
"""How tqdm shows a count: `Loading safetensors checkpoint shards:  38% Completed | 3/8 [...]`."""
_PHASES = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"(?:checkpoint shards|loading weights)" + _PROGRESS, "loading weights {0}/{1}"),
        (r"(?:captur\w+ .*graphs?|graph captur\w+)[^:]*" + _PROGRESS, "capturing graphs {0}/{1}"),
        (r"(?:downloading|fetching \d+ files)[^:]*" + _PROGRESS, "downloading {0}/{1}"),
        (r"downloading|time spent downloading", "downloading"),
        (r"starting to load model|loading model from scratch|loading weights|loading safetensors", "loading weights"),
        (
            r"torch\.compile takes|dynamo bytecode|compiling (?:a |the )?graph|start compiling|using cache directory.*compile",
            "compiling",
        ),
        (r"graph capturing|capturing (?:cuda|hpu|xpu|npu)? ?graphs?|cudagraph captur", "capturing graphs"),
        (r"warming up|warm-?up|init engine|kv cache size|memory profiling", "warming up"),
        (r"initializing an? .*engine|initializing a v\d", "starting the engine"),
        (r"starting vllm server|application startup|uvicorn running|available routes", "opening its port"),
    )
)
_NO_PHASE = re.compile(r"\bWARNING\b|Enforce eager|non-default args|Disabling|disabled|non.default", re.IGNORECASE)
"""Lines that name a phase without being in it, such as a warning that there will be no graphs to capture."""


def phase_of(lines: Iterable[str]) -> str:
    """The phase that the last telling line stands for; STARTING where none does. No raw line is ever returned."""
    found = STARTING
    for line in lines:
        found = _told_by(line) or found
    return found


def _told_by(line: str) -> str:
    if _NO_PHASE.search(line):
        return ""
    for pattern, words in _PHASES:
        if match := pattern.search(line):
            return words.format(*match.groups())
    return ""
