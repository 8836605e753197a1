"""Adapters of a cell that declares `lora`: they come and go while the server serves, and leave the model as it was."""

from __future__ import annotations

import pytest

from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive

pytestmark = pytest.mark.server


def said(client, model, case):
    body = {"model": model, "prompt": case.prompt, "temperature": 0, "max_tokens": case.max_tokens, "stop": ["\n"]}
    return part(client.post("/v1/completions", body).require(200).json(), "choices", 0, "text")


def served(client):
    return {part(model, "id") for model in part(client.get("/v1/models").require(200).json(), "data")}


@pytest.fixture
def adapter_path(cell, lora_adapter):
    return str(cell.beside_spec(lora_adapter.path)) if lora_adapter.path else lora_adapter.repo


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
