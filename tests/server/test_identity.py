"""The server is the one that the spec describes: read back from it, not believed."""

from __future__ import annotations

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from hallmark.client.offers import Known
from hallmark.client.text import part
from hallmark.core.errors import CheckFailed, Inconclusive
from hallmark.core.records import Evidence, Target
from hallmark.core.verdict import Verdict
from hallmark.environment.builds import of_version
from hallmark.environment.commits import is_commit
from hallmark.specs.matching import compare, make_pattern

pytestmark = pytest.mark.server


@pytest.mark.check(
    "server.health",
    title="The server answers that it is healthy while it serves",
    source="vLLM: GET /health; OpenAI API: GET /v1/models",
    fault="die-after",
    again=True,
)
def test_health(client, server, offers, check):
    """By `/health`, which vLLM always has; a server of another engine without that route answers for its models."""
    path = healthy_path(offers)
    answer = client.get(path).require(200)
    check.observe(path, answer.status)
    check.observe("start", round(server.started_in_s, 2), unit="s")


def healthy_path(offers):
    """What a server answers 200 while it is healthy: `/health` is an extension that not every engine has."""
    return "/v1/models" if offers("route:/health").known is Known.ABSENT else "/health"


MOST_NAMED = 3
"""Of libraries: an engine has a hundred."""


def satisfies(version, wanted):
    try:
        return SpecifierSet(wanted).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def commits_in(version):
    return [build["commit"] for build in of_version(["engine"], version)]


def same_commit(one, other):
    """Either may be cut short."""
    return one.startswith(other.lower()) or other.lower().startswith(one)


@pytest.mark.check(
    "server.version",
    title="The engine that runs is the one that the spec pins",
    source="the spec: engine.version, commits",
    covers="M09",
    fault="wrong-version",
    again=True,
)
def test_version_is_the_pinned_one(cell, client, offers, testbed, check):
    """`/version` satisfies the engine version of the spec and names no other commit (`spec.commit` reads what the build is of);
    the libraries of packages that its process has loaded are those of its environment.
    """
    if (offer := offers("route:/version")).known is Known.ABSENT and cell.impl.engine.name != "vllm":
        raise Inconclusive(f"which version runs is not seen: the server does not tell it by /version ({offer.reason})")
    version = str(part(client.get("/version").require(200).json(), "version"))
    name, wanted = cell.impl.engine.name, cell.impl.engine.version
    commit = cell.impl.pinned_commits.get(name, "")
    check.observe("engine version", version, detail={"spec": wanted or commit})
    if elsewhere := testbed.foreign_libraries:
        more = f" and {len(elsewhere) - MOST_NAMED} more" if len(elsewhere) > MOST_NAMED else ""
        named = ", ".join(elsewhere[:MOST_NAMED])
        raise CheckFailed(f"the server runs libraries of another environment than the one on record: {named}{more}")
    if not wanted and not commit:
        raise Inconclusive(f"the spec pins neither a version nor a commit of the engine; the server states {version!r}")
    if wanted and not satisfies(version, wanted):
        raise CheckFailed(f"the server runs {name} {version}, the spec says {wanted}")
    if others := [told for told in commits_in(version) if is_commit(commit) and not same_commit(told, commit)]:
        raise CheckFailed(f"the server runs {name} {version}, which is of {', '.join(others)}, the spec says {commit}")


def served_models(client):
    """Name -> entry, of `/v1/models`."""
    return {part(model, "id"): model for model in part(client.get("/v1/models").require(200).json(), "data")}


def fills_the_context(cell, client, check):
    """Where the server does not say how long its context is: that it takes a request which fills it to the last token.

    That it takes none which is longer is a check of its own.
    """
    body = client.body(prompt=[50] * (cell.entry.max_context - 1), max_tokens=1)
    answer = client.post("/v1/completions", body)
    if answer.status in (404, 405):
        raise Inconclusive("how long the context is cannot be seen: it is not told, and there are no completions to fill it by")
    usage = part(answer.require(200).json(), "usage")
    check.equal("tokens of a prompt that leaves room for one", part(usage, "prompt_tokens"), cell.entry.max_context - 1)


@pytest.mark.check(
    "server.model",
    title="The served model and its context length are those of the spec",
    source="OpenAI API: GET /v1/models; the spec: weights, max_context",
    covers="M09",
    fault="wrong-model-name",
    again=True,
)
def test_served_model_is_the_specs(cell, client, testbed, check):
    """`/v1/models` lists the spec's model, with its context length and weights; the engine has the spec's arguments."""
    served = served_models(client)
    check.observe("served models", ", ".join(served))
    if cell.served_model not in served:
        raise CheckFailed(f"the server serves {', '.join(served) or 'nothing'}, the spec says {cell.served_model}")
    if "max_model_len" in served[cell.served_model]:
        check.equal("max_model_len", served[cell.served_model]["max_model_len"], cell.entry.max_context)
    else:
        fills_the_context(cell, client, check)
    root = served[cell.served_model].get("root")
    if root:
        check.equal("weights", root, cell.weights_source)
    differences = testbed.argument_differences
    if corrupt := testbed.corrupt_weights:
        raise CheckFailed(f"the weights are not what the hub says: {'; '.join(corrupt)}")
    if told := [str(difference) for difference in differences if difference.contradicts]:
        raise CheckFailed(f"the server was not started as the spec says: {'; '.join(told)}")
    if differences:
        raise Inconclusive(f"whether the server is as the spec says is not known: {'; '.join(map(str, differences))}")
    if testbed.attached and not root:
        raise Inconclusive("which weights an attached server has is not known: /v1/models states no root")


def unread(files, what):
    """Why something beside the weights could not be read, and how to make it readable."""
    how = "give the weights by `path`, or name the server's cache of Hugging Face repositories in HF_HOME or HF_HUB_CACHE"
    return f"{files.reasons.get(what, 'not told')} - {how}"


STATED = {"n_vocab": "vocab_size", "n_embd": "hidden_size", "n_ctx_train": "max_position_embeddings"}
"""Dimensions that some engines state in `/v1/models`, and what config.json calls them."""


@pytest.mark.check(
    "server.architecture",
    title="The weights that are served have the architecture of the spec",
    needs="architecture",
    source="the spec: architecture, against config.json",
    fault="dimensions",
    again=True,
)
def test_weights_have_the_architecture_of_the_spec(cell, client, testbed, check):
    """The config.json that the server reads is one of this model; so are the dimensions that it states, and its tokens."""
    files = testbed.weights_files
    if files.config is None:
        raise Inconclusive(unread(files, "config"))
    pattern = make_pattern(cell.model, cell.architecture)
    check.observe("config.json", files.folder, n=pattern.specificity + 1, detail={"architecture": cell.architecture})
    for wrong in compare(pattern, files.config).mismatches:
        check.add(held(wrong.attribute, wrong.found, "==", wrong.wanted, f"the weights are not this model: {wrong}"))
    dimensions = {**files.config, **(files.config.get("text_config") or {})}
    stated = served_models(client).get(cell.served_model, {}).get("meta")
    for name, attribute in STATED.items() if isinstance(stated, dict) else ():
        if name in stated and attribute in dimensions:
            value, limit = stated[name], dimensions[attribute]
            fault = "" if value == limit else f"{name} in /v1/models is {value!r}, not {limit!r}"
            check.add(held(f"{name} in /v1/models", value, "==", limit, fault))
    if files.tokenizer and isinstance(size := dimensions.get("vocab_size"), int):
        tokens = files.tokenizer.base_vocab_size
        fault = "" if tokens <= size else f"the tokenizer has {tokens} tokens, and the model's vocab_size is {size}"
        check.add(held("tokens", tokens, "<=", size, fault))


def held(name, value, relation, limit, fault):
    """One thing as evidence; what is wrong with it, or nothing, is `fault`."""
    verdict = Verdict.FAIL if fault else Verdict.PASS
    return Evidence(name=name, value=value, target=Target(relation=relation, limit=limit), verdict=verdict, reason=fault)


@pytest.mark.check(
    "server.tokenizer",
    title="The tokenizer is the one of the spec",
    needs="tokenizer",
    source="the spec: weights.tokenizer",
    fault="a tokenizer of another size",
    again=True,
)
def test_tokenizer_is_the_one_of_the_spec(cell, server, testbed, check):
    """Size, special tokens and chat template of the tokenizer that the server reads, as far as the spec states them."""
    files, wanted = testbed.weights_files, cell.weights.tokenizer
    found = files.tokenizer
    if found is None:
        raise Inconclusive(unread(files, "tokenizer"))
    if wanted.vocab_size is not None:
        check.equal("vocab_size", found.vocab_size, wanted.vocab_size)
    for name, text in wanted.special_tokens.items():
        check.equal(name, found.special_tokens.get(name, "absent"), text)
    if wanted.chat_template is not None:
        check.equal("chat_template", found.chat_template, wanted.chat_template)
