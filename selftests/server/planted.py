"""What is planted for the detection table: each fault of the stand-in, with its value, its pace, and what it is tried on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hallmark.core.precedence import PlanValue
from hallmark.environment.process_files import OpenFiles
from hallmark.serving.argument_differences import compared
from selftests.faulty import (
    answer_faults,
    isolation_faults,
    logprob_faults,
    lora_faults,
    metrics_faults,
    overload_faults,
    sampling_faults,
    stop_faults,
    streaming_faults,
    usage_faults,
)
from selftests.faulty.embeddings import EMBEDDINGS
from selftests.faulty.error_faults import ERRORS
from selftests.faulty.faults import FAULTS
from selftests.faulty.model_faults import MODELS
from selftests.faulty.reasoning import OFFERED as THINKS
from selftests.faulty.reasoning import REASONING
from selftests.faulty.response_calls import CALLS
from selftests.faulty.response_faults import RESPONSES
from selftests.faulty.security_faults import SECURITY
from selftests.faulty.structured_faults import STRUCTURED
from selftests.faulty.tools import TOOL_FAULTS


@dataclass(frozen=True, kw_only=True)
class Planting:
    """One server that is measured."""

    fault: str
    """Its name, with `=VALUE` where it is not the default; words where it is planted elsewhere than in the server."""
    pace: Mapping[str, float] = field(default_factory=dict)
    """`ttft_ms`, `itl_ms`: some faults show only where answers take their time."""
    files: tuple[str, ...] = ()
    """The test files that it is tried on; those of its area where there is none."""
    only: str = ""
    """Of those the checks that have this in their id."""
    timeout_s: float = 30.0
    rarer: tuple[int, ...] = ()
    """Rarer rates ("each so many-th"), rising; the last at which a check is still red is told."""
    beside: tuple[str, ...] = ()
    """What else is planted: servers that are right in another way."""
    dies: bool = False
    """The server's process ends: it has one of its own, and the first check that fails is the only one."""
    ends: bool = False
    """It is a process that a launcher started, and the check ends it."""
    sidecar: bool = False
    """The runtime sidecar stands beside it."""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """What the spec says otherwise."""
    seen: Mapping[str, Any] = field(default_factory=dict)
    """What is seen of the server's files and processes: for the looks at it that no answer tells of."""

    @property
    def name(self) -> str:
        return self.fault.partition("=")[0]

    @property
    def tried_on(self) -> tuple[str, ...]:
        """The test files; all where it is empty."""
        area = next((files for names, files in AREAS if self.name in names), ())
        return self.files or ((*area, EVERY_ANSWER) if area else ())

    @property
    def in_server(self) -> bool:
        return self.name in FAULTS


EVERY_ANSWER = "test_every_answer.py"
REASONS = "test_reasoning.py"
"""Its checks ask for thoughts, and the server of the others has none."""
AREAS: tuple[tuple[Collection[str], tuple[str, ...]], ...] = (
    (streaming_faults.WHAT, ("test_streaming.py", "test_chat.py")),
    (stop_faults.WHAT, ("test_stop.py",)),
    (usage_faults.WHAT, ("test_usage.py", "test_stop.py")),
    (sampling_faults.WHAT, ("test_sampling.py",)),
    (logprob_faults.WHAT, ("test_logprobs.py", "test_logprobs_of_prompts.py", "test_usage.py")),
    (isolation_faults.WHAT, ("test_isolation.py",)),
    (ERRORS, ("test_errors.py", "test_context.py", "test_bad_requests.py", "test_wrong_requests.py")),
    (SECURITY, ("test_security.py",)),
    (STRUCTURED, ("test_structured_output.py", "test_chat.py")),
    (TOOL_FAULTS, ("test_tools.py",)),
    (metrics_faults.WHAT, ("test_metrics.py",)),
    (RESPONSES, ("test_responses.py",)),
    (CALLS, ("test_responses.py",)),
    (EMBEDDINGS, ("test_embeddings.py",)),
    (MODELS, ("test_models.py",)),
    (REASONING, (REASONS,)),
    (answer_faults.WHAT, ("test_streaming.py", "test_usage.py", "test_logprobs.py", "test_chat.py", "test_sampling.py")),
)
"""Faults of an area, and the test files that they are tried on; a fault of no area is tried on all."""
ELSEWHERE: Mapping[str, str] = {
    **dict.fromkeys(("exit-at-start", "hang-at-start", "slow-start"), "starting: no check runs; the run says why"),
    "reuse-port": "starting: the run says whose server answers",
    "ignore-sigterm": "ending: the run ends it all the same",
    "burns": "a busy machine: what cannot be judged then is VOID",
    "slow": "a slow server: perf points",
    "wrong-answers": "a model that answers wrongly: evals",
    "closes": "allowed to a server; clients have to ask on another connection",
    "closes-unanswered": "the connection of each completion: every check that asks for one",
    "key-as-x-api-key": "allowed to a server, and noted by server.auth",
    "overload-stays": "half a second is less than server.overload grants; its own self-test grants less",
    "embeddings-alike": "nothing can be told of embeddings that are alike: INCONCLUSIVE",
    "no-root": "not told is not wrong: an attached server is INCONCLUSIVE",
}
"""Faults that are not for the checks of the API, and who sees them."""
TWINS = {name for name, fault in FAULTS.items() if fault.what.startswith("no fault")} | {"probes-fail", "prefix-cache"}
"""No faults: servers that are right in another way."""
SERVES = ("serves-responses", "serves-embeddings", "serves-one-model")
"""What each server here has besides, so that no check asks for what is not there."""
SLOWLY = {"itl_ms": 1.0}
SIDECAR_PACE = {"ttft_ms": 100.0, "itl_ms": 10.0}
"""Which the buckets of the histograms can tell from the delays of a busy machine."""
ENDLESS = {"files": ("test_streaming.py",), "timeout_s": 1.0}
TOKENIZER = {"vocab_size": 262, "special_tokens": {}, "chat_template": True}

BUSY: Mapping[str, Any] = {
    "pace": {"ttft_ms": 2.0, "itl_ms": 30.0},
    "files": ("test_overload.py",),
    "spec": {"engine_args": {"max_num_seqs": 8}},
    "timeout_s": 5.0,
}
"""Answers that are under way together, more than there are seats."""
LONG_ANSWERS = {"ttft_ms": 20.0, "itl_ms": 1.0}
GONE_ON = {
    **dict.fromkeys(("runs-on", "gone-still-run", "gone-as-stop"), "client-gone.streamed"),
    **dict.fromkeys(("runs-on=whole", "gone-keep-cache", "gone-hold-up=1.5"), "client-gone.whole"),
    "storms-leak": "client-storm",
}
"""Faults of requests whose clients went away, each with the check that it is tried on: the next would meet what is left."""
OF_CACHE = (
    *("cached-cold", "cached-more", "cached-untold-in-streams"),
    *("cache-hits-uncounted", "cache-hits-as-requests", "cache-hits-of-all"),
)
"""Faults of telling what came from the prefix cache."""
ISOLATION = ("test_isolation.py",)
LIFE = ("test_life.py",)
ENDS = {
    **dict.fromkeys(("ends-as-if-whole", "ends-late", "spawn-child"), "life.told-to-end"),
    **{f"engine-death-{how}": "life.engine-killed" for how in ("as-whole", "untold", "healthy")},
    **{f"engine-stop-{how}": "life.engine-stands-still" for how in ("healthy", "forgets")},
}
"""Faults of a server that is started for one check, and ended by it."""
IDENTITY = ("test_identity.py",)
SEEN = {
    "weights that are not what the hub says": {
        "corrupt_weights": ("model.safetensors has the content 5ab1..., and the hub says 9c3d...",)
    },
    "libraries of another environment": {
        "foreign_libraries": OpenFiles(
            processes=1, paths=frozenset({"/opt/other/lib/python3.12/site-packages/torch/_C.so"})
        ).elsewhere(["/opt/engine/lib/python3.12/site-packages"])
    },
    "an engine argument of another value": {
        "argument_differences": compared(
            [PlanValue(name="dtype", value="bfloat16", origin="spec")], ["vllm", "serve", "--dtype", "float16"]
        )
    },
}
"""Fault -> what a testbed sees of it."""
SPECIAL = (
    Planting(fault="die-after=40", dies=True),
    Planting(fault="dies-on-bad-request", dies=True),
    *(Planting(fault=name, ends=True, only=only, files=LIFE) for name, only in ENDS.items()),
    Planting(fault="listen-but-not-healthy", files=IDENTITY),
    Planting(fault="stuck", files=("test_streaming.py", "test_chat.py"), timeout_s=0.5),
    *(Planting(fault=name, **ENDLESS) for name in ("stays-open", "trickles", "trickles-late", "head-trickles")),
    Planting(fault="body-trickles", files=("test_chat.py",), timeout_s=1.0),
    *(Planting(fault=name, pace=SLOWLY, files=("test_streaming.py",)) for name in ("holds-back", "compressed-at-once")),
    Planting(fault="limits-shared", pace={"itl_ms": 4.0}, files=("test_stop.py",)),
    *(
        Planting(fault=name, pace={"itl_ms": 2.0}, files=("test_sampling.py",))
        for name in ("seed-lost-in-batch", "seed-shared", "penalties-spread")
    ),
    Planting(fault="answers-swapped", pace=SLOWLY, files=("test_isolation.py",), rarer=(80, 160, 320)),
    Planting(fault="large-batches-break", pace=SLOWLY, files=("test_isolation.py",), rarer=(24, 32, 48)),
    *(
        Planting(fault=name, pace=SLOWLY, files=("test_isolation.py",))
        for name in ("warm-prompts-break", "long-prompts-spoil", "aborts-spoil")
    ),
    Planting(fault="preempted-breaks", beside=("small-cache",), pace={"itl_ms": 12.0}, files=ISOLATION, only="preempted"),
    *(Planting(fault=name, beside=("prefix-cache",)) for name in OF_CACHE),
    Planting(fault="greedy-wavers", rarer=(10, 20, 40, 80), files=("test_sampling.py", "test_isolation.py")),
    Planting(fault="error-every", rarer=(100, 200, 400)),
    Planting(fault="constrains-few", pace={"ttft_ms": 100.0}, files=("test_structured_output.py",)),
    Planting(fault="grammar-leaks", pace={"ttft_ms": 100.0}, files=("test_structured_output.py",)),
    Planting(fault="bad-requests-cut-streams", pace={"itl_ms": 200.0}, files=("test_errors.py",), only="neighbours"),
    *(Planting(fault=name, pace=SIDECAR_PACE, files=("test_runtime.py",), sidecar=True)
      for name in ("miscounts-tokens", "slow-clock", "no-metrics")),
    *(
        Planting(fault=fault, pace=LONG_ANSWERS, files=("test_disconnects.py",), only=only, timeout_s=3.0)
        for fault, only in GONE_ON.items()
    ),
    *(Planting(fault=fault, pace=SLOWLY, files=("test_lora.py",)) for fault in lora_faults.WHAT),
    *(Planting(fault=fault, **BUSY) for fault in overload_faults.WHAT if fault not in TWINS and fault not in ELSEWHERE),
    Planting(fault="a tokenizer of another size", spec={"weights": {"tokenizer": TOKENIZER}}, files=IDENTITY),
    *(Planting(fault=fault, seen=seen, files=IDENTITY) for fault, seen in SEEN.items()),
)  # fmt: skip
VALUES = (
    *("open-spelling=slashes", "open-spelling=dots", "truncate-stream=abort", "truncate-stream=head", "over-by-one=quiet"),
    *("usage-is=null", "usage-is=true", "nondeterministic=greedy", "seed-decides=first-token", "logprobs-are=NaN"),
    *("stream-finish=abort", "created-is=true", "context-off-by-one=100", "schema-ignores=pattern", "schema-ignores=minItems"),
    *("fetches-media=quiet",),
    *(f"ranges-ignored={name}" for name in ("top_p", "n", "presence_penalty", "frequency_penalty", "max_tokens", "seed")),
    "ranges-ignored=logit_bias",
)
"""Besides the default of each fault."""


def plantings() -> Iterator[Planting]:
    """All that are measured: each fault at its default value, and some at others."""
    special = {one.name for one in SPECIAL}
    yield from SPECIAL
    for name in FAULTS:
        if name not in special and name not in ELSEWHERE and name not in TWINS:
            yield Planting(fault=name, beside=(THINKS,) if name in REASONING else ())
    yield from (Planting(fault=text) for text in VALUES)
