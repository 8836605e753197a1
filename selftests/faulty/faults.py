"""The one table of faults: what each does, and what its value means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from selftests.faulty import (
    answer_faults,
    isolation_faults,
    life_faults,
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
from selftests.faulty.model_faults import MODELS
from selftests.faulty.reasoning import REASONING
from selftests.faulty.response_calls import CALLS
from selftests.faulty.response_faults import RESPONSES
from selftests.faulty.security_faults import SECURITY
from selftests.faulty.structured_faults import STRUCTURED
from selftests.faulty.tools import TOOL_FAULTS


@dataclass(frozen=True)
class Fault:
    what: str
    default: str = ""
    """The value where none is given; empty for a fault that takes none."""


FAULTS: Mapping[str, Fault] = {
    # starting and ending
    "exit-at-start": Fault("exit with this code before listening", "3"),
    "hang-at-start": Fault("never listen"),
    "slow-start": Fault("listen only after so many seconds", "2"),
    "listen-but-not-healthy": Fault("/health answers 503 for ever"),
    "reuse-port": Fault("others may listen on the same port, as vLLM lets them"),
    "die-after": Fault("answer so many completions, then exit(17) in the middle of the next", "1"),
    "dies-on-bad-request": Fault("exit(17) instead of refusing a bad request"),
    "ignore-sigterm": Fault("SIGTERM does nothing"),
    "spawn-child": Fault("leave a child process behind; its pid is printed as 'child PID'"),
    "burns": Fault("so many child processes use all the CPU that they get, for as long as it lives", "4"),
    "stuck": Fault("/health is fine, but completions hang after so many were answered", "0"),
    # identity
    "wrong-model-name": Fault("/v1/models and every answer name this model", "some-other-model"),
    "answers-name": Fault("every answer names this model, /v1/models the right one", "some-other-model"),
    "wrong-version": Fault("/version answers this", "0.0.1"),
    "lists-no-model": Fault("/v1/models is an empty list"),
    "no-root": Fault("/v1/models does not say which weights are served"),
    "context-length": Fault("/v1/models states this JSON value as max_model_len", "null"),
    "dimensions": Fault(
        "/v1/models states this JSON object of dimensions, as llama.cpp does", '{"n_vocab": 261, "n_embd": 4096}'
    ),
    # keys
    "open-door": Fault("no key is demanded, whatever was asked for"),
    "open-route": Fault("these paths, parted by +, answer without a key", "/invocations"),
    "open-spelling": Fault("a known path in another spelling answers without a key: 'encoded', 'slashes' or 'dots'", "encoded"),
    "open-methods": Fault("PUT runs what POST does, without a key"),
    "open-streams": Fault("whoever asks for a stream needs no key"),
    "key-prefix": Fault("the beginning of the key is enough"),
    "key-any-case": Fault("capitals or not, the key counts"),
    "key-within": Fault("whatever holds the key counts as the key"),
    "key-trimmed": Fault("blanks of every kind and quotes around the key do not matter"),
    "key-in-query": Fault("the key may stand in the address"),
    "key-as-x-api-key": Fault("the key may stand in X-API-Key"),
    "unsigned-tokens": Fault("a token that nobody signed counts as the key"),
    "refusal-counts": Fault("a refusal tells how many tokens the answer would have had"),
    # metrics
    "miscounts-tokens": Fault("/metrics counts so many tokens more for each answer than were given", "1"),
    "slow-clock": Fault("/metrics tells times that are so many times longer", "1000"),
    "no-metrics": Fault("/metrics offers nothing of vLLM's"),
    # adapters
    "lora-refused": Fault("adapters are not loaded"),
    "lora-ignored": Fault("an adapter is loaded and listed, and changes nothing"),
    "lora-sticks": Fault("an adapter that is unloaded stays"),
    "lora-leaks": Fault("once an adapter was loaded, the model itself answers as the adapter does"),
    # errors
    "error-all": Fault("every completion is answered with this status", "500"),
    "error-after": Fault("answer so many completions, then 500 for ever", "1"),
    "error-every": Fault("each so many-th completion is answered with 500", "50"),
    "accepts-bad-requests": Fault("200 for what must be refused"),
    "plain-text-errors": Fault("errors are plain text, not OpenAI's JSON"),
    # streams and counts
    "truncate-stream": Fault(
        "a stream ends half-way: 'quiet' as if complete but without [DONE], 'abort' by a cut, 'head' by a cut after its head",
        "quiet",
    ),
    "closes": Fault("the connection is closed after each answer without a word, so many milliseconds later", "0"),
    "closes-unanswered": Fault("each completion's connection is closed in place of an answer"),
    "prefix-cache": Fault("usage tells, token by token, what prompts have in common with those that were sent before"),
    "sse-error": Fault("an error payload half-way in a stream, under status 200"),
    "stream-differs": Fault("the streamed text is not the one that is answered at once"),
    "stream-usage-off": Fault("in streams usage counts so many prompt tokens too many", "1"),
    "stream-finish": Fault("every stream says that it ended for this reason", "stop"),
    "stream-stop-leaks": Fault("streams ignore stop sequences"),
    "half-characters": Fault("in streams each token is made text by itself, so that characters of several bytes break"),
    "latin-1": Fault("answers that are not streamed end with a byte that is no UTF-8"),
    "whole-at-once": Fault("a stream is sent in one event"),
    "over-by-one": Fault("one token more than max_tokens allows: 'honest' counts it in usage, 'quiet' does not", "honest"),
    "usage-off": Fault("usage counts so many completion tokens too many", "1"),
    "usage-is": Fault("usage states this JSON value as completion tokens", "NaN"),
    "prompt-usage-off": Fault("usage counts so many prompt tokens too many", "1"),
    "no-usage": Fault("usage is left out"),
    "short-output": Fault("half the tokens asked for, in spite of ignore_eos"),
    "slow": Fault("so many times slower (than 20 ms and 2 ms where no pace is given)", "10"),
    # the model
    "wrong-answers": Fault("this share of prompts is answered wrongly, the same ones each time", "0.2"),
    "nondeterministic": Fault("the seed is ignored: 'sampled' where temperature > 0, 'greedy' everywhere", "sampled"),
    "seed-decides": Fault(
        "what a seed decides: 'nothing' (all of them give one text), 'first-token' (the rest is chance)", "nothing"
    ),
    "only-openai": Fault("no fault, but a server that has OpenAI's routes and fields alone, and refuses all others"),
    "offers-only": Fault("no fault, but a server that has these features alone, parted by +", "completions"),
    "probes-fail": Fault("what is asked to find out what is offered is answered with this status: openapi.json", "500"),
    "sure": Fault("no fault, but a model that is sure of every token: whatever the seed, it says the same"),
    "temperature-ignored": Fault("every answer is sampled at temperature 1"),
    "canned": Fault("what was asked before is answered as before, from memory"),
    "logprobs-are": Fault("every log-probability is this JSON value", "0"),
    "top-k-from-one": Fault("no fault, but a server to which a top_k of 0 or -1 is out of range"),
    "bytes-of-pieces": Fault("no fault, but a server that tells the bytes of those tokens alone that are parts of a character"),
    "no-stop": Fault("stop sequences are ignored"),
    "no-logprobs": Fault("log-probabilities are left out"),
    "structured-ignored": Fault("response_format is ignored"),
    # one file for each area of the suite
    **{
        name: Fault(what, default)
        for area in (
            streaming_faults,
            stop_faults,
            usage_faults,
            sampling_faults,
            logprob_faults,
            isolation_faults,
            metrics_faults,
            lora_faults,
            overload_faults,
            answer_faults,
            life_faults,
        )
        for name, (what, default) in area.WHAT.items()
    },
    **{
        name: Fault(*told)
        for name, told in {
            **ERRORS,
            **SECURITY,
            **STRUCTURED,
            **TOOL_FAULTS,
            **RESPONSES,
            **CALLS,
            **EMBEDDINGS,
            **REASONING,
            **MODELS,
        }.items()
    },
}


@dataclass(frozen=True)
class Faults:
    """The faults of one server."""

    chosen: Mapping[str, str] = field(default_factory=dict)
    turns: answer_faults.Turns = field(default_factory=answer_faults.Turns, compare=False)
    """How often it was whose turn."""

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Faults:
        """From 'name' and 'name=value', several in one text parted by commas or blanks."""
        chosen = {}
        for word in (w for text in texts for w in text.replace(",", " ").split()):
            name, _, value = word.partition("=")
            if name not in FAULTS:
                raise ValueError(f"no such fault: {name}; there are: {', '.join(sorted(FAULTS))}")
            chosen[name] = value or FAULTS[name].default
        return cls(chosen)

    def __contains__(self, name: str) -> bool:
        assert name in FAULTS, name
        return name in self.chosen

    def text(self, name: str) -> str:
        return self.chosen.get(name, "") if name in self else ""

    def number(self, name: str) -> float:
        return float(self.chosen.get(name, "0")) if name in self else 0.0
