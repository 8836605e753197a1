"""From a Job to the JSON that an OpenAI-compatible server answers, faults of content included. Pure but for the clock."""

from __future__ import annotations

import codecs
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from selftests.faulty import (
    answer_faults,
    logprob_faults,
    reasoning,
    sampling_faults,
    stop_faults,
    streaming_faults,
    structured_faults,
    tools,
    usage_faults,
)
from selftests.faulty.faults import Faults
from selftests.faulty.jobs import Job
from selftests.faulty.model import END, Model, Sampling, decode, token_bytes, token_text

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Output:
    """One generated completion, token by token."""

    prompt: tuple[int, ...]
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    """What each token adds to the text; empty while a character is incomplete."""
    finish_reason: str

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def _sampling(sampling: Sampling, faults: Faults) -> Sampling:
    if "short-output" in faults:
        sampling = replace(sampling, max_tokens=max(1, sampling.max_tokens // 2))
    if "over-by-one" in faults:
        sampling = replace(sampling, max_tokens=sampling.max_tokens + 1)
    if "temperature-ignored" in faults:
        sampling = replace(sampling, temperature=1.0, top_k=0, top_p=1.0)
    return sampling


def produce(job: Job, *, prompt: tuple[int, ...], index: int, model: Model, faults: Faults) -> Output:
    sampling = _sampling(job.sampling, faults)
    ignored = "structured-ignored" in faults or ("constrains-first-choice" in faults and index)
    forced = None if ignored else job.forced
    if "no-stop" in faults or ("stream-stop-leaks" in faults and job.stream):
        job = replace(job, stop=())
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    ids: list[int] = []
    pieces: list[str] = []
    text, reason = "", "length"
    drawn = sampling_faults.index_of(index, job, faults.chosen)
    if drawn is None:
        sampling, drawn = replace(sampling, seed=None), index
    answered = model.generate(decode(prompt), sampling, index=drawn, forced=forced)
    made = reasoning.thinking(answered, job, sampling.max_tokens)
    for token in sampling_faults.tokens_of(made, job, drawn, faults.chosen):
        if "half-characters" in faults and job.stream:
            decoder.reset()
        piece = "" if token == END else decoder.decode(token_bytes(token), "half-characters" in faults and job.stream)
        ids.append(token)
        pieces.append(piece)
        text += piece
        if (cut := stop_faults.cut_at(text, job, faults.chosen)) is not None:
            return Output(prompt, tuple(ids), tuple(_clipped(pieces, cut)), "stop")
        if token in job.stop_ids:
            return Output(prompt, tuple(ids), (*pieces[:-1], ""), "stop")
        if token == END and not sampling.ignore_eos:
            reason = "stop"
    if (cut := stop_faults.near_lost(text, job, faults.chosen)) is not None:
        pieces = list(_clipped(pieces, cut))
    reason = stop_faults.reason_of(reason, faults.chosen)
    more, reason = structured_faults.ended(job, "".join(pieces), reason, faults)
    pieces[-1] += more
    return Output(prompt, tuple(ids), tuple(pieces), "stop" if "short-output" in faults else reason)


def _clipped(pieces: Sequence[str], length: int) -> Iterator[str]:
    for piece in pieces:
        yield piece[:length]
        length = max(0, length - len(piece))


def usage(job: Job, outputs: Sequence[Output], faults: Faults) -> dict[str, Any]:
    prompt = sum({id(o.prompt): len(o.prompt) for o in outputs}.values()) + int(faults.number("prompt-usage-off"))
    made = sum(len(o.ids) for o in outputs) + int(faults.number("usage-off"))
    if faults.text("over-by-one") == "quiet":
        made -= len(outputs)
    said = json.loads(faults.text("usage-is")) if "usage-is" in faults else made
    tells = "prefix-cache" in faults and "cached-untold" not in faults
    details = {"prompt_tokens_details": {"cached_tokens": job.cached}} if tells else {}
    counted = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": prompt + made, **details}
    return usage_faults.counts_of(counted, job, [len(o.ids) for o in outputs], faults.chosen)


def completion_logprobs(job: Job, output: Output, *, model: Model) -> dict[str, Any]:
    ids = (*output.prompt, *output.ids) if job.echo else output.ids
    start = 0 if job.echo else len(output.prompt)
    everything = (*output.prompt, *output.ids)
    tokens, values, tops, offsets = [], [], [], []
    offset = 0
    for place, token in enumerate(ids, start=start):
        before, name = decode(everything[:place]), token_text(token)
        last, drawn = place == len(output.prompt) - 1, job.sampling if place >= len(output.prompt) else None
        top = model.top(before, token, count=job.logprobs or 0, last=last, drawn=drawn) if place else None
        tokens.append(name)
        values.append(top[token] if top else None)
        tops.append({token_text(t): lp for t, lp in top.items()} if top else None)
        offsets.append(offset)
        offset += len(name)
    return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}


def chat_logprobs(job: Job, output: Output, *, model: Model) -> dict[str, Any]:
    rows, count = [], job.logprobs or 0
    for place, token in enumerate(output.ids):
        top = model.top(decode((*output.prompt, *output.ids[:place])), token, count=count, drawn=job.sampling)
        named = [{"token": token_text(t), "logprob": lp, "bytes": [*token_bytes(t)]} for t, lp in top.items()]
        own = {"token": token_text(token), "logprob": top[token], "bytes": [*token_bytes(token)]}
        rows.append({**own, "top_logprobs": named[:count]})
    return {"content": rows}


def _logprobs(job: Job, output: Output, *, model: Model, faults: Faults) -> dict[str, Any] | None:
    if job.logprobs is None or "no-logprobs" in faults:
        return None
    if job.chat:
        return logprob_faults.told_of(chat_logprobs(job, output, model=model), job, faults.chosen)
    told = logprob_faults.told_of(completion_logprobs(job, output, model=model), job, faults.chosen)
    if "logprobs-are" in faults:
        same = json.loads(faults.text("logprobs-are"))
        told["token_logprobs"] = [same for _ in told["tokens"]]
        told["top_logprobs"] = [dict.fromkeys(top or {}, same) for top in told["top_logprobs"]]
    return told


def envelope(job: Job, name: str, *, chunk: bool) -> dict[str, Any]:
    kind = ("chat.completion.chunk" if chunk else "chat.completion") if job.chat else "text_completion"
    prefix = "chatcmpl" if job.chat else "cmpl"
    return {"id": f"{prefix}-{next(_numbers):08d}", "object": kind, "created": int(time.time()), "model": name}


def whole(job: Job, outputs: Sequence[Output], *, name: str, model: Model, faults: Faults) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    choices: list[dict[str, Any]] = []
    for index, output in enumerate(outputs):
        text = (streaming_faults.echoed(decode(output.prompt), faults.chosen) if job.echo else "") + output.text
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if job.chat else {"text": text}
        if job.calls:
            said = {"message": tools.message(job.calls, output.text, faults)}
        logprobs = _logprobs(job, output, model=model, faults=faults)
        said |= logprob_faults.of_prompt(output.prompt, job, faults.chosen)
        choices.append(
            {"index": index, **said, "logprobs": logprobs, "finish_reason": tools.finish(job.calls, output.finish_reason, faults)}
        )
    counted = {} if "no-usage" in faults else {"usage": usage(job, outputs, faults)}
    right = {**envelope(job, name, chunk=False), "choices": choices, **counted}
    return streaming_faults.whole_of(answer_faults.whole_of(right, job, faults), faults.chosen)


def chunks(
    job: Job, outputs: Sequence[Output], *, name: str, model: Model, faults: Faults, per_event: int = 1
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(tokens in it, body) of each event of a streamed answer; 0 tokens for what goes out at once."""
    head = envelope(job, name, chunk=True)
    with_usage = job.include_usage and "no-usage" not in faults
    blank = {"usage": None} if with_usage else {}
    for index, output in enumerate(outputs):
        for first in _opening(job, output, faults):
            yield 0, {**head, "choices": [{"index": index, **first, "logprobs": None, "finish_reason": None}], **blank}
        told = _logprobs(job, output, model=model, faults=faults)
        per_event = len(output.pieces) if "whole-at-once" in faults else per_event
        for start in range(0, len(output.pieces), per_event):
            group = output.pieces[start : start + per_event]
            text = "".join(group)
            if "stream-differs" in faults and start == 0:
                text = "~" + text[1:]
            done = start + per_event >= len(output.pieces)
            said: dict[str, Any] = {"delta": {"content": text}} if job.chat else {"text": text}
            if job.calls:
                said = {"delta": tools.delta(job.calls, text, start // per_event, faults)}
            ended = tools.finish(job.calls, output.finish_reason, faults)
            reason = (faults.text("stream-finish") or ended) if done else None
            its = {name: values[start : start + per_event] for name, values in told.items()} if told else None
            counted = _counts_by_now(job, output, faults, until=start + len(group))
            choice = {"index": index, **said, "logprobs": its, "finish_reason": reason}
            yield len(group), {**head, "choices": [choice], **blank, **counted}
    if with_usage:
        counts = usage(job, outputs, faults)
        more = {"prompt_tokens": counts["prompt_tokens"] + int(faults.number("stream-usage-off"))}
        yield 0, {**head, "choices": [], "usage": counts | more}


def _counts_by_now(job: Job, output: Output, faults: Faults, *, until: int) -> dict[str, Any]:
    if not job.continuous_usage:
        return {}
    made = usage_faults.so_far(until, len(output.ids), faults.chosen)
    prompt = len(output.prompt)
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}}


def _opening(job: Job, output: Output, faults: Faults) -> Iterator[dict[str, Any]]:
    """What a stream says before the answer: the role, or the prompt that is echoed."""
    if job.chat:
        yield {"delta": {"role": "assistant", "content": ""}}
    elif job.echo:
        yield {"text": streaming_faults.echoed(decode(output.prompt), faults.chosen)}
