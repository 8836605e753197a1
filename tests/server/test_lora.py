"""Adapters of a cell that declares `lora`: they come and go while the server serves, and leave the model as it was."""

from __future__ import annotations

import uuid
from functools import partial

import pytest

from hallmark.client.adapters import place_of
from hallmark.client.asking import together
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.stats.sameness import judge_same

pytestmark = pytest.mark.server


def said(client, model, case):
    body = {"model": model, "prompt": case.prompt, "temperature": 0, "max_tokens": case.max_tokens, "stop": ["\n"]}
    return part(client.post("/v1/completions", body).require(200).json(), "choices", 0, "text")


def served(client):
    return {part(model, "id") for model in part(client.get("/v1/models").require(200).json(), "data")}


@pytest.fixture
def adapter_path(cell, lora_adapter):
    return place_of(cell, lora_adapter)


@pytest.fixture
def unloaded(runtime_client, lora_adapter):
    """Unloads the adapter at the end, however the test ends: later checks are of the model alone."""
    yield
    runtime_client.post("/v1/unload_lora_adapter", {"lora_name": lora_adapter.name})


@pytest.mark.check(
    "server.lora.{lora_adapter.name}",
    title="The adapter {lora_adapter.name} loads, is listed, changes the answers, and leaves the model as it was",
    needs="lora",
    source="vLLM: /v1/load_lora_adapter",
    covers=["A01", "A02", "A04"],
    fault="lora-ignored",
)
@pytest.mark.usefixtures("unloaded")
def test_an_adapter_comes_works_and_goes(client, runtime_client, lora_adapter, adapter_path, check):
    name, cases = lora_adapter.name, lora_adapter.checks
    before = [said(client, client.model, case) for case in cases]
    runtime_client.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": adapter_path}).require(200)
    if name not in served(client):
        raise CheckFailed(f"{name} was loaded, but /v1/models does not list it")
    for case, base in zip(cases, before, strict=True):
        answer = said(client, name, case)
        check.observe(f"{case.prompt!r} with {name}", answer, detail={"without": base, "expected": case.expected})
        if not answer.startswith(case.expected):
            raise CheckFailed(f"{name} answers {answer!r} to {case.prompt!r}, it should begin with {case.expected!r}")
        if base.startswith(case.expected):
            raise Inconclusive(f"{case.prompt!r} is answered {base!r} without {name}, too: nothing shows that it is at work")
        if case.without and not base.startswith(case.without):
            raise CheckFailed(f"without {name}, {case.prompt!r} is answered {base!r} and not {case.without!r}")
    runtime_client.post("/v1/unload_lora_adapter", {"lora_name": name}).require(200)
    if name in served(client):
        raise CheckFailed(f"{name} was unloaded, but /v1/models still lists it")
    status = client.post("/v1/completions", {"model": name, "prompt": "a", "max_tokens": 1}).status
    check.equal("status of a request for the unloaded adapter", status, 404)
    check.equal("answers of the model afterwards", repr([said(client, client.model, case) for case in cases]), repr(before))


AT_ONCE = 16
START = "What was read before need not be read again. " * 4
"""Longer than what prefix caches keep in one piece."""


class Voices:
    """Who can be asked, and what each says to the cases of an adapter."""

    def __init__(self, client, same_answers, cases):
        self._client = client
        self._judge = same_answers
        self._cases = cases

    def ask(self, model, case, start="", **fields):
        prompt = start + case.prompt
        return self._judge.ask(self._client, model=model, prompt=prompt, max_tokens=case.max_tokens, stop=["\n"], **fields)

    def alone(self, models, start="", **fields):
        """(model, place of the case) -> its answer, one after the other."""
        return {
            (model, place): self.ask(model, case, start, **fields) for model in models for place, case in enumerate(self._cases)
        }

    def mixed(self, models):
        """(model, place of the case) -> its answers, from a batch in which all of them are asked."""
        keys = [(model, place) for place in range(len(self._cases)) for model in models]
        keys *= -(-AT_ONCE // len(keys))
        calls = [partial(self.ask, model, self._cases[place]) for model, place in keys]
        return list(zip(keys, together(calls, at_once=AT_ONCE), strict=True))


@pytest.mark.check(
    "server.lora-mixed.{lora_adapter.name}",
    title="Asked together, {lora_adapter.name} and the model each give their own answers, also to what the other has read",
    needs="lora",
    source="vLLM's own tests of several adapters at the same time",
    covers="A03",
    fault="lora-mixes",
)
def test_adapters_and_the_model_do_not_mix(client, runtime_client, cell, lora_adapter, same_answers, offers, check):
    """Among all adapters of the cell. What a server says that has read nothing before is known where it offers `cache_salt`."""
    name, both = lora_adapter.name, (client.model, lora_adapter.name)
    names = [adapter.name for adapter in cell.lora]
    voices = Voices(client, same_answers, lora_adapter.checks)
    try:
        for adapter in cell.lora:
            body = {"lora_name": adapter.name, "lora_path": place_of(cell, adapter)}
            runtime_client.post("/v1/load_lora_adapter", body).require(200)
        alone = voices.alone(both)
        if all(alone[client.model, place].text == alone[name, place].text for place in range(len(lora_adapter.checks))):
            raise Inconclusive(f"{name} says nothing that the model does not say: what is mixed would not show")
        found = voices.mixed([client.model, *names])
        pairs = {f"{key} {number}": (alone[key], one) for number, (key, one) in enumerate(found) if key in alone}
        check.add(judge_same("answers that differ in a mixed batch", pairs, same_answers.noise))
        if not offers.has("field:cache_salt"):
            check.observe("prompts that another has read", "not seen: without cache_salt nothing tells what a cold cache says")
            return
        pairs = {}
        for first in both:
            start = f"{uuid.uuid4()} {START}"
            cold = voices.alone(both, start, cache_salt=uuid.uuid4().hex)
            found = voices.alone([first], start)
            found |= voices.alone([one for one in both if one != first], start)
            pairs |= {f"{key}, first read by {first}": (cold[key], one) for key, one in found.items()}
        check.add(judge_same("answers that differ where another has read the prompt", pairs, same_answers.noise))
    finally:
        for other in names:
            runtime_client.post("/v1/unload_lora_adapter", {"lora_name": other})
