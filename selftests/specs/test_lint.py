"""`specs lint`: each rule is shown its fault, and the clean twin that it says nothing about."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.workflows.spec_lint import lint
from hallmark.workflows.spec_remarks import Remark, Severity
from hallmark.workflows.spec_tasks import known_tasks
from selftests.specs.sheets import FAMILY, family_file, spec_folder, spoilt, weights_folder

CLEAN = FAMILY.replace("tolerance: 0.03", "n: 1000\n      tolerance: 0.03")
"""The sheet with a sample that resolves its tolerance."""


def remarks(folder: Path, text: str = CLEAN, **more: str) -> list[Remark]:
    """All of them, but for the notes of what the sheet says itself that it lacks."""
    weights_folder(folder)
    spec_folder(folder, text)
    for name, content in more.items():
        family_file(folder, content, name.replace("__", "."))
    return [remark for remark in lint([folder])[1] if (remark.rule, remark.severity) != ("draft", Severity.NOTE)]


def changed(old: str, new: str) -> str:
    assert old in CLEAN, old
    return CLEAN.replace(old, new, 1)


def test_the_clean_sheet_has_no_remark(tmp_path: Path) -> None:
    assert remarks(tmp_path / "specs") == []


def waived(*checks: str, **fields: str) -> str:
    """`max_context` with waivers below it."""
    stated = {"owner": "J. Doe", "reason": "known", "issue": "ABC-12", "made_on": "2026-01-01", "ends_on": "2026-04-01"} | fields
    words = ", ".join(f'{name}: "{text}"' for name, text in stated.items())
    lines = "".join(f"\n          - {{ check: {check}, {words} }}" for check in checks or ("server.chat",))
    return f"max_context: 512\n        waivers:{lines}"


SECOND_EVAL = """\
    - { name: again, task: sums, metrics: ["exact_match,none"], n: 1000, reference: 0.9, tolerance: 0.03, source: x }
"""
RUNTIME = "engine_args: { max_num_seqs: 8 }"
LLAMA_70B = "{ model_type: llama, num_hidden_layers: 80, hidden_size: 8192, vocab_size: 128256 }"
WHOLE_LLAMA_70B = LLAMA_70B.replace(" }", ", max_position_embeddings: 131072 }")
# What is wrong -> (the text, rule, severity, what the remark says).
FAULTS: dict[str, tuple[str, str, Severity, str]] = {
    "a duplicate key": (
        changed("family: small", "family: small\nfamily: again"),
        "load",
        Severity.ERROR,
        "duplicate key 'family'",
    ),
    "an unknown device": (changed("      t3k:", "      t4k:"), "load", Severity.ERROR, "unknown device 't4k'"),
    "no default": (changed("default: true", "default: false"), "defaults", Severity.ERROR, "no default among plain, other"),
    "two defaults": (
        changed("max_context: 256 }", "max_context: 256, default: true }"),
        "defaults",
        Severity.ERROR,
        "2 defaults (plain, other)",
    ),
    "a quantile that the sample cannot have": (
        changed("tokens_per_s: 10,", "ttft_p99_ms: 10,"),
        "unreachable",
        Severity.ERROR,
        "ttft_p99_ms cannot be stated from 8 requests",
    ),
    "an objective that the sample cannot show": (
        changed("isl: 64", "objectives: { quantiles: { ttft_p90_ms: 50 } }\n            isl: 64"),
        "unreachable",
        Severity.ERROR,
        "the objective ttft_p90_ms cannot be shown by 8 requests",
    ),
    "a point beyond the context": (changed("isl: 64", "isl: 500"), "unreachable", Severity.ERROR, "500 + 32 tokens do not fit"),
    "a waiver of what is not demanded": (
        changed(
            "max_context: 512",
            waived("server.chatt"),
        ),
        "unreachable",
        Severity.ERROR,
        "server.chatt is waived and never demanded",
    ),
    "a waiver until a day that is none": (
        changed(
            "max_context: 512",
            waived(ends_on="2026-02-30"),
        ),
        "load",
        Severity.ERROR,
        "2026-02-30 is no day",
    ),
    "a waiver that ends before it begins": (
        changed("max_context: 512", waived(made_on="2026-04-02")),
        "load",
        Severity.ERROR,
        "ends before it is made (2026-04-02)",
    ),
    "a waiver of which nobody mends the cause": (
        changed("max_context: 512", waived(issue="soon")),
        "load",
        Severity.ERROR,
        "'soon' names no issue",
    ),
    "a waiver for too long": (
        changed("max_context: 512", waived(ends_on="2026-04-02")),
        "waivers",
        Severity.ERROR,
        "the waiver of server.chat is for 91 days; at most 90 (hallmark's own policy)",
    ),
    "a waiver that has ended": (
        changed("max_context: 512", waived()),
        "waiver-days",
        Severity.WARNING,
        "the waiver of server.chat ended on 2026-04-01: a miss is not waived any more",
    ),
    "a waiver of what nobody may waive": (
        changed("max_context: 512", waived("server.security.key-stays")),
        "waivers",
        Severity.ERROR,
        "server.security.key-stays is never waived (hallmark's own policy)",
    ),
    "a point that ends before its targets do": (
        changed("isl: 64", "timeout_s: 9\n            isl: 64"),
        "unreachable",
        Severity.ERROR,
        "and has a timeout_s of 9",
    ),
    "a point of a feature that is not declared": (
        changed("status: complete", "status: complete\n    features: [chat]"),
        "unreachable",
        Severity.ERROR,
        "isl64-osl32-c2 is measured over completions",
    ),
    "a point over chat where it is not declared": (
        changed("osl: 32", "osl: 32\n            api: chat").replace(
            "status: complete", "status: complete\n    features: [completions]"
        ),
        "unreachable",
        Severity.ERROR,
        "isl64-osl32-c2-chat is measured over chat",
    ),
    "a share of an adapter that the weights do not have": (
        changed("osl: 32", "osl: 32\n            shares: { adapters: { french: 0.5 } }"),
        "unreachable",
        Severity.ERROR,
        "isl64-osl32-c2-adapter-french-0.5: the weights name no adapter french",
    ),
    "a share of structured output that is not declared": (
        changed("osl: 32", "osl: 32\n            api: chat\n            shares: { structured: 0.5 }").replace(
            "status: complete", "status: complete\n    features: [chat]"
        ),
        "unreachable",
        Severity.ERROR,
        "isl64-osl32-c2-chat-structured-0.5 asks for structured output",
    ),
    "an eval of a feature that is not declared": (
        changed("n: 1000", "n: 1000\n      api: chat").replace(
            "status: complete", "status: complete\n    features: [completions]"
        ),
        "unreachable",
        Severity.ERROR,
        "asks over chat",
    ),
    "an eval beyond the context": (
        changed("n: 1000", "n: 1000\n      max_length: 4096"),
        "unreachable",
        Severity.WARNING,
        "max_length 4096 is beyond",
    ),
    "more users than sequences": (
        changed("max_num_seqs: 8", "max_num_seqs: 1"),
        "unreachable",
        Severity.WARNING,
        "the server takes 1",
    ),
    "quantiles that descend": (
        changed("{ tokens_per_s: 10,", "{ ttft_p50_ms: 9, ttft_p90_ms: 8, tokens_per_s: 10,").replace(
            "requests: 8", "requests: 80"
        ),
        "contradiction",
        Severity.WARNING,
        "ttft p50 9 ms is above p90 8 ms",
    ),
    "two ways of saying one rate": (
        changed("{ tokens_per_s: 10,", "{ tpot_mean_ms: 100, tokens_per_s: 10,"),
        "contradiction",
        Severity.WARNING,
        "tpot_mean_ms 100 is 10 tokens/s, tokens_per_s_per_user says 5",
    ),
    "two totals": (
        changed("{ tokens_per_s: 10,", "{ requests_per_s: 1, tokens_per_s: 10,"),
        "contradiction",
        Severity.WARNING,
        "requests_per_s 1 is 32 tokens/s",
    ),
    "a whole that is less than its part": (
        changed("{ tokens_per_s: 10,", "{ ttft_mean_ms: 9, e2e_mean_ms: 8, tokens_per_s: 10,"),
        "contradiction",
        Severity.WARNING,
        "e2e_mean_ms 8 is below ttft_mean_ms 9",
    ),
    "two floors of one task": (
        changed("impls:", SECOND_EVAL + "impls:"),
        "contradiction",
        Severity.WARNING,
        "evals.sums and evals.again want 0.77 and 0.87",
    ),
    "a server that is told another context": (
        changed("max_num_seqs: 8", "max-model-len: 256, max_num_seqs: 8"),
        "contradiction",
        Severity.ERROR,
        "max_context 512 is not the max_model_len 256",
    ),
    "a runtime configuration that is not supported": (
        changed(
            RUNTIME, RUNTIME + "\n        runtime_configs: { continuous: [{ tp_size: 1, max_model_len: 256, max_num_seqs: 8 }] }"
        ),
        "contradiction",
        Severity.ERROR,
        "1 / 512 / 8 is no runtime configuration",
    ),
    "a device configuration that never applies": (
        changed(
            RUNTIME,
            RUNTIME
            + "\n        runtime_configs: { continuous: [{ tp_size: 1, max_model_len: 512, max_num_seqs: 8 }] }"
            + "\n        device_configs: { 4: { env_vars: { A: b } } }",
        ),
        "unreachable",
        Severity.WARNING,
        "no runtime configuration has tp_size 4",
    ),
    "a tolerance finer than its sample": (
        changed("n: 1000", "n: 100"),
        "resolution",
        Severity.ERROR,
        "100 items at 0.8 reach down to",
    ),
    "a sample that is not stated": (FAMILY, "resolution", Severity.NOTE, "states no n"),
    "a folder that is not there": (changed("../weights", "../gone"), "dangling", Severity.ERROR, "no folder"),
    "a folder without a model": (
        changed("../weights", "../specs"),
        "dangling",
        Severity.ERROR,
        "no config.json and no *.safetensors",
    ),
    "a repository without an owner": (changed("someone/Small-1B", "Small-1B"), "dangling", Severity.ERROR, "is no repository"),
    "no architecture": (
        changed("{ model_type: tiny, hidden_size: 8 }", "{}"),
        "patterns",
        Severity.WARNING,
        "Small-1B has no architecture: no run sees whether its weights are this model",
    ),
    "an architecture of two known models": (
        changed("{ model_type: tiny, hidden_size: 8 }", LLAMA_70B),
        "known-models",
        Severity.ERROR,
        "small: its architecture is that of meta-llama/Meta-Llama-3-70B and of meta-llama/Llama-3.1-70B",
    ),
    "known weights of another architecture": (
        changed("{ model_type: tiny, hidden_size: 8 }", WHOLE_LLAMA_70B).replace("someone/Small-1B", "meta-llama/Llama-3.1-8B"),
        "known-models",
        Severity.ERROR,
        "Small-1B: in the config.json of meta-llama/Llama-3.1-8B hidden_size is 4096, not 8192; num_hidden_layers is 32, not 80",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found(tmp_path: Path, name: str) -> None:
    text, rule, severity, message = FAULTS[name]
    found = [r for r in remarks(tmp_path / "specs", text) if (r.rule, r.severity) == (rule, severity) and message in r.message]
    assert found, remarks(tmp_path / "specs", text)
    assert all(remark.where and remark.hint for remark in found)


@pytest.mark.parametrize("repo", ["someone/Small-1B", "meta-llama/Llama-3.1-70B"])
def test_a_known_model_and_a_fine_tune_of_it_are_no_fault(tmp_path: Path, repo: str) -> None:
    text = changed("{ model_type: tiny, hidden_size: 8 }", WHOLE_LLAMA_70B).replace("someone/Small-1B", repo)
    assert remarks(tmp_path / "specs", text) == []


TWIN = CLEAN.replace("Small", "Twin").replace("family: small", "family: twin")


def test_two_patterns_that_match_one_config(tmp_path: Path) -> None:
    found = remarks(tmp_path / "a", twin__yaml=TWIN)
    assert [(r.rule, r.severity) for r in found] == [("patterns", Severity.ERROR)]
    assert "small and twin equally well" in found[0].message
    assert found[0].where == f"{tmp_path / 'a' / 'twin.yaml'}:4"
    crossing = TWIN.replace("hidden_size: 8", "vocab_size: 9, layers: 2")
    assert [r.severity for r in remarks(tmp_path / "b", twin__yaml=crossing)] == [Severity.WARNING]
    assert remarks(tmp_path / "c", twin__yaml=TWIN.replace("hidden_size: 8", "hidden_size: 9")) == []
    assert remarks(tmp_path / "d", twin__yaml=TWIN.replace("hidden_size: 8", "hidden_size: 8, more: 1")) == []


@pytest.mark.e2e
def test_the_installed_harness_is_asked() -> None:
    """Read from its files: tasks that every version has had."""
    tasks = known_tasks()
    assert tasks is not None
    assert {"gsm8k", "mmlu_pro", "ifeval", "hellaswag"} <= tasks
    assert "meta_ifeval" not in tasks


def test_every_file_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    """Not the first one only; and what does load is looked at nevertheless."""
    found = remarks(
        tmp_path / "specs",
        changed("default: true", "default: false"),
        bad__yaml=spoilt("isl: 64", "isl: -1"),
        empty__yml="",
        heir__yaml="schema_version: 2\nfamily: heir\nextends: gone\nweights: []\n",
        twice__yaml=CLEAN.replace("family: small", "family: twice"),
    )
    places = {Path(remark.where.partition(":")[0]).name for remark in found if remark.rule == "load"}
    assert places == {"bad.yaml", "empty.yml", "heir.yaml", "twice.yaml"}
    assert any(remark.rule == "defaults" for remark in found)


def test_a_file_that_nothing_reads_is_named(tmp_path: Path) -> None:
    found = remarks(tmp_path / "specs", model_specification__json="{}", schema__json="{}", README__md="")
    assert [(Path(r.where).name, r.rule) for r in found] == [("model_specification.json", "stranger")]
