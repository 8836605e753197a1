"""Each way of getting a spec wrong ends in one line that names the file, the guilty line and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hallmark.core.errors import HallmarkError, SpecError
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.loader import load_devices
from hallmark.specs.text_file import LARGEST_BYTES
from selftests.specs.sheets import FAMILY, family_file, line_of, load_family, spec_folder, spoilt

# What is spoilt -> (the text, what the error says, what its hint says). `# HERE` marks the guilty line.
BAD: dict[str, tuple[str, str, str]] = {
    "unknown key": (spoilt("family: small", "familly: small # HERE"), "unknown key 'familly'", "did you mean family?"),
    "unknown nested key": (spoilt("max_context: 512", "max_contxt: 512 # HERE"), "max_contxt", "did you mean max_context?"),
    "unknown key of a perf point": (spoilt("isl: 64", "isl: 64\n            osll: 3 # HERE"), "osll", "osl"),
    "missing key": (
        spoilt("      source: measured\n", "").replace("- name: sums", "- name: sums # HERE"),
        "source' is missing",
        "add",
    ),
    "null section": (
        FAMILY[: FAMILY.index("evals:")] + "evals: # HERE\n" + FAMILY[FAMILY.index("impls:") :],
        "'evals'",
        "correct",
    ),
    "null engine arguments": (spoilt("{ max_num_seqs: 8 }", "# HERE"), "engine_args", "correct"),
    "null value": (spoilt("max_num_seqs: 8 }", "max_num_seqs: } # HERE"), "max_num_seqs", "correct"),
    "text for a number": (spoilt("isl: 64", "isl: '64' # HERE"), "isl", "correct"),
    "number for text": (spoilt('A: "1" }', "A: 1 } # HERE"), "env_vars.A", "correct"),
    "yes for a number": (spoilt("reference: 0.8", "reference: true # HERE"), "reference", "correct"),
    "a list for a mapping": (spoilt("{ model_type: tiny, hidden_size: 8 }", "[8] # HERE"), "architecture", "correct"),
    "a date for text": (spoilt("source: measured", "source: 2026-12-05 # HERE"), "source", "correct"),
    "a date that is none": (spoilt("source: measured", "source: 2026-13-45 # HERE"), "month", "quote"),
    "too many digits": (spoilt("isl: 64", f"isl: {'9' * 5000} # HERE"), "digits", "quote"),
    "duplicate key": (spoilt("isl: 64", "isl: 64\n            isl: 65 # HERE"), "duplicate key 'isl'", "keep one"),
    "negative number": (spoilt("requests: 8", "requests: -8 # HERE"), "requests", "correct"),
    "zero": (spoilt("max_context: 512", "max_context: 0 # HERE"), "max_context", "correct"),
    "infinite target": (spoilt("tokens_per_s: 10,", "ttft_mean_ms: .inf, # HERE\n             "), "finite", "correct"),
    "NaN reference": (spoilt("reference: 0.8", "reference: .nan # HERE"), "reference", "correct"),
    "a score above 1": (spoilt("reference: 0.8", "reference: 80 # HERE"), "reference", "correct"),
    "a floor nobody misses": (spoilt("tolerance: 0.03", "tolerance: 0.9 # HERE"), "no score can miss", "correct"),
    "unknown device": (spoilt("      t3k:", "      t3kk: # HERE"), "unknown device 't3kk'", "did you mean t3k?"),
    "unknown status": (spoilt("status: complete", "status: completed # HERE"), "completed", "did you mean complete?"),
    "unknown metric": (spoilt("tokens_per_s: 10", "tokens_per_sec: 10 # HERE\n             "), "tokens_per_sec", "tokens_per_s"),
    "unknown feature": (
        spoilt("status: complete", "status: complete\n    features: [chatt] # HERE"),
        "chatt",
        "did you mean chat?",
    ),
    "a newer schema": (spoilt("schema_version: 2", "schema_version: 3 # HERE"), "newer than this hallmark reads (2)", "update"),
    "two weights sources": (
        spoilt("path: ../weights }", "path: ../weights, repo: a/b } # HERE"),
        "either `repo` or `path`",
        "correct",
    ),
    "no weights source": (spoilt(", path: ../weights }", " } # HERE"), "either `repo` or `path`", "correct"),
    "no weights": (
        FAMILY[: FAMILY.index("weights:")] + "weights: [] # HERE\n" + FAMILY[FAMILY.index("impls:") :],
        "weights",
        "correct",
    ),
    "weights twice": (
        spoilt("name: Small-1B-Instruct,", "name: Small-1B, # HERE\n     "),
        "'Small-1B' is there twice",
        "correct",
    ),
    "implementations twice": (spoilt("- name: other", "- name: plain # HERE"), "'plain' is there twice", "correct"),
    "impossible throughput": (spoilt("tokens_per_s: 10,", "tokens_per_s: 11, # HERE\n             "), "11 is above", "correct"),
    "fewer requests than users": (spoilt("requests: 8", "requests: 1 # HERE"), "at least concurrency (2)", "correct"),
    "descending tiers": (
        spoilt("functional: 0.1,", "functional: 0.6, # HERE\n     "),
        "functional <= complete <= target",
        "correct",
    ),
    "a tier too few": (
        spoilt("functional: 0.1, ", "").replace("tier_factors:", "tier_factors: # HERE\n     "),
        "functional",
        "correct",
    ),
    "no targets": (spoilt("{ tokens_per_s: 10, tokens_per_s_per_user: 5 }", "{} # HERE"), "targets", "correct"),
    "evals for unknown weights": (spoilt("  Small-1B-Instruct:", "  Small-2B: # HERE"), "not one of the weights", "correct"),
    "a package twice": (
        spoilt("python_deps: {", "python_deps: { vLLM: '',\n     ").replace('"==1.0" }', '"==1.0" } # HERE'),
        "'vllm' is there twice",
        "correct",
    ),
    "a package demanded and excluded": (
        spoilt("status: complete", "status: complete\n    python_excluded:\n      - vllm # HERE"),
        "'vllm' is there twice",
        "correct",
    ),
    "a name with a blank": (spoilt("name: other", "name: the other # HERE"), "pattern", "correct"),
    "malformed YAML": (
        spoilt("{ model_type: tiny, hidden_size: 8 }", "{ hidden_size: 8\nweights: } # HERE"),
        "malformed YAML",
        "mend",
    ),
    "a tab": (spoilt("  - name: other", "\t- name: other # HERE"), "malformed YAML", "mend"),
    "an object of Python": (spoilt("source: measured", "source: !!python/object:os.system x # HERE"), "malformed YAML", "mend"),
    "two documents": (FAMILY + "--- # HERE\na: 1\n", "another document", "mend"),
    "a number as a key": (spoilt('A: "1" }', 'A: "1", 2: "x" } # HERE'), "a key must be text", "quote"),
    "yes as a key": (spoilt('A: "1" }', 'A: "1", yes: "x" } # HERE'), "a key must be text", "quote"),
    "a list as a key": (spoilt('A: "1" }', 'A: "1", [a]: "x" } # HERE'), "a key must be text", "quote"),
    "a list at top": ("- a # HERE\n- b\n", "must be a mapping", "schema_version"),
    "a number at top": ("3 # HERE\n", "must be a mapping", "schema_version"),
    "an alias of itself": (FAMILY + "x: &a [*a] # HERE\n", "aliases", "write the values out"),
    "deep nesting": ("x: " + "[" * 30_000 + "]" * 30_000 + " # HERE\n", "nested too deeply", "few levels"),
}

ENTRY = "        max_context: 512\n        perf:"
"""Where the entry of `cpu` can be given more keys."""


def entry(keys: str) -> str:
    """FAMILY with more keys in the entry of `cpu`."""
    lines = "".join(f"        {line}\n" for line in keys.splitlines())
    return spoilt(ENTRY, lines + ENTRY)


TWO_POINTS = "[{ isl: 64, osl: 32, concurrency: 2, requests: 8, targets: { tokens_per_s: 9 }, source: x }]"

# The same for runtime and device configurations, containers, adapters and what a family states besides.
BAD |= {
    "a size that is none": (entry("device_configs:\n  0: { env_vars: {} } # HERE"), "greater than 0", "correct"),
    "a size in words": (entry("device_configs:\n  four: {} # HERE"), "device_configs.four", "correct"),
    "a size twice": (entry("device_configs:\n  4: {}\n  '04': {} # HERE"), "duplicate key '4'", "keep one"),
    "an unknown version key": (
        entry("device_configs:\n  4:\n    num_gpu_blocks_override:\n      torch_below_1: 3 # HERE"),
        "'torch_below_1' is no version key",
        "correct",
    ),
    "version keys that overlap": (
        entry("device_configs:\n  4:\n    num_gpu_blocks_override:\n      t_lt_2: 3\n      t_le_1: 4 # HERE"),
        "overlap",
        "correct",
    ),
    "an empty table of versions": (
        entry("device_configs:\n  4:\n    num_gpu_blocks_override: {} # HERE"),
        "num_gpu_blocks",
        "correct",
    ),
    "negative blocks": (entry("device_configs:\n  4:\n    num_gpu_blocks_override: -1 # HERE"), "num_gpu_blocks", "correct"),
    "a null device configuration": (entry("device_configs:\n  4: # HERE"), "device_configs.4", "correct"),
    "null chunks": (entry("device_configs:\n  4:\n    chunked_prefill: {} # HERE"), "max_num_batched_tokens' is missing", "add"),
    "misspelt continuous": (entry("runtime_configs: { continous: [] } # HERE"), "continous", "did you mean continuous?"),
    "a runtime configuration without sequences": (
        entry("runtime_configs:\n  continuous:\n    - { tp_size: 1, max_model_len: 1 } # HERE"),
        "max_num_seqs' is missing",
        "add",
    ),
    "the same runtime configuration twice": (
        entry(
            "runtime_configs:\n  continuous:\n    - { tp_size: 1, max_model_len: 1, max_num_seqs: 1 }\n"
            "    - { tp_size: 1, max_model_len: 1, max_num_seqs: 1 } # HERE"
        ),
        "there twice",
        "correct",
    ),
    "the same warm-up shapes in another order": (
        entry(
            "runtime_configs:\n  static:\n"
            "    - { tp_size: 1, warmup_shapes: [{ prompt_len: 1, batch_size: 1 }, { prompt_len: 2, batch_size: 1 }] }\n"
            "    - { tp_size: 1, warmup_shapes: [{ prompt_len: 2, batch_size: 1 }, { prompt_len: 1, batch_size: 1 }] } # HERE"
        ),
        "there twice",
        "correct",
    ),
    "no warm-up shape": (
        entry("runtime_configs:\n  static:\n    - { tp_size: 1, warmup_shapes: [] } # HERE"),
        "warmup_shapes",
        "correct",
    ),
    "a size that is not supported": (
        spoilt("engine_args: { max_num_seqs: 8 }", "engine_args: { tensor_parallel_size: 2 } # HERE").replace(
            ENTRY,
            "        runtime_configs: { continuous: [{ tp_size: 4, max_model_len: 1, max_num_seqs: 1 }] }\n" + ENTRY,
        ),
        "tensor_parallel_size 2 is not one that is supported (4)",
        "correct",
    ),
    "a size in quotes": (
        spoilt("engine_args: { max_num_seqs: 8 }", "engine_args: { tensor-parallel-size: '2' } # HERE"),
        "tensor_parallel_size must be a whole number",
        "correct",
    ),
    "an architecture that matches nothing": (spoilt("{ model_type: tiny, ", "{ # HERE\n "), "needs model_type", "correct"),
    "an architecture two levels down": (spoilt("hidden_size: 8", "a: { b: { c: 1 } } # HERE\n "), "architecture.a", "correct"),
    "an empty part of an architecture": (spoilt("hidden_size: 8", "a: {} # HERE\n "), "architecture.a", "correct"),
    "base targets that nobody checks": (
        spoilt("impls:", f"base_targets:\n  galaxy: {TWO_POINTS} # HERE\nimpls:"),
        "no implementation serves on 'galaxy'",
        "correct",
    ),
    "base targets that are contradicted": (
        spoilt("impls:", f"base_targets: {{ cpu: {TWO_POINTS} }}\nimpls:").replace(
            "{ tokens_per_s: 10,", "{ tokens_per_s: 10, # HERE\n "
        ),
        "contradicts the base_targets, which say 9",
        "correct",
    ),
    "base targets with which it is impossible": (
        spoilt("impls:", f"base_targets: {{ cpu: {TWO_POINTS} }}\nimpls:").replace(
            "{ tokens_per_s: 10, tokens_per_s_per_user: 5 }", "{ tokens_per_s_per_user: 4 } # HERE"
        ),
        "with the base_targets: impossible target",
        "correct",
    ),
    "an adapter without a place": (
        spoilt("path: ../weights }", "path: ../weights, lora: [{ name: a, checks: [{ prompt: p, expected: e }] }] } # HERE"),
        "either `repo` or `path`",
        "correct",
    ),
    "an adapter without a check": (
        spoilt("path: ../weights }", "path: ../weights, lora: [{ name: a, path: b, checks: [] }] } # HERE"),
        "checks",
        "correct",
    ),
    "an adapter that changes nothing": (
        spoilt(
            "path: ../weights }",
            "path: ../weights, lora: [{ name: a, path: b, checks: [{ prompt: p, expected: e, without: e }] }] } # HERE",
        ),
        "without the adapter, too",
        "correct",
    ),
    "an image with a blank": (spoilt("status: complete", "status: complete\n    image: a b # HERE"), "image", "correct"),
    "a bind that is none": (
        spoilt("status: complete", "status: complete\n    container: { binds: [here] } # HERE"),
        "binds",
        "correct",
    ),
    "a known limit without its source": (entry("known_limits:\n  - { text: slow } # HERE"), "source' is missing", "add"),
}


def variable(name: str) -> str:
    """FAMILY with a variable of that name, written as YAML writes it."""
    return spoilt('A: "1" }', f'A: "1", {name}: x }} # HERE')


def package(name: str, specifier: str = "") -> str:
    """FAMILY that demands that package."""
    return spoilt('{ vllm: "==1.0" }', f'{{ "{name}": "{specifier}" }} # HERE')


def engine(what: str) -> str:
    return spoilt('engine: { version: ">=1.0,<2" }', f"engine: {{ {what} }} # HERE")


def demanded(line: str) -> str:
    """FAMILY with one more line in its first implementation."""
    return spoilt("    status: complete", f"    status: complete\n    {line} # HERE")


# What no machine, no shell and no installer could be given.
BAD |= {
    "a context beyond sense": (spoilt("max_context: 512", f"max_context: {10**42} # HERE"), "a number beyond sense", "correct"),
    "a context that nothing has": (spoilt("max_context: 512", "max_context: 2000000000 # HERE"), "1000000000", "correct"),
    "users beyond sense": (spoilt("concurrency: 2", f"concurrency: {10**12} # HERE"), "concurrency", "correct"),
    "an argument beyond sense": (spoilt("max_num_seqs: 8 }", f"max_num_seqs: -{10**42} }} # HERE"), "beyond sense", "correct"),
    "an argument that is no number": (spoilt("max_num_seqs: 8 }", "max_num_seqs: .nan } # HERE"), "finite", "correct"),
    "a target beyond sense": (spoilt("tokens_per_s: 10,", "tokens_per_s: 1.0e+300, # HERE\n "), "tokens_per_s", "correct"),
    "a target of nothing": (spoilt("tokens_per_s: 10,", "ttft_mean_ms: 1.0e-300, # HERE\n "), "ttft_mean_ms", "correct"),
    "a factor of nothing": (spoilt("functional: 0.1,", "functional: 1.0e-300, # HERE\n "), "functional", "correct"),
    "a number in a tag that is none": (spoilt("isl: 64", 'isl: !!int "" # HERE'), "no such value", "quote"),
    "a date in a tag that is none": (spoilt("isl: 64", "isl: !!timestamp x # HERE"), "no such value", "quote"),
    "a flag in a tag that is none": (spoilt("isl: 64", "isl: !!bool x # HERE"), "no such value", "quote"),
    "a size of many digits in quotes": (entry(f"device_configs:\n  '{'9' * 500}': {{}} # HERE"), "device_configs", "correct"),
    "a variable with a sign": (variable('"A=B"'), "'A=B' is no name of a variable", "letters"),
    "a variable with a line break": (variable(r'"A\nB"'), r"'A\nB' is no name of a variable", "letters"),
    "a variable with a blank": (variable('"A B"'), "is no name of a variable", "letters"),
    "a variable without a name": (variable('""'), "'' is no name of a variable", "letters"),
    "a variable with a NUL": (variable(r'"A\0B"'), "a text that holds a NUL", "correct"),
    "a value with a NUL": (spoilt('A: "1" }', r'A: "\0" } # HERE'), "a text that holds a NUL", "correct"),
    "a variable of a size": (
        entry('device_configs:\n  4: { env_vars: { "A=B": x } } # HERE'),
        "is no name of a variable",
        "lett",
    ),
    "a variable of a container": (demanded('container: { env_vars: { "A B": x } }'), "is no name of a variable", "letters"),
    "an option for an argument": (spoilt("{ max_num_seqs: 8 }", "{ --max: 8 } # HERE"), "is no engine argument", "without dash"),
    "an argument in two spellings": (
        spoilt("{ max_num_seqs: 8 }", "{ max_num_seqs: 8, max-num-seqs: 9 } # HERE"),
        "'max-num-seqs' is there twice, with - and with _",
        "correct",
    ),
    "a package that nothing can meet": (package("vllm", ">3,<2"), "no version meets it", "drop or correct"),
    "a package beside its own release": (package("vllm", "==1.*,!=1.*,>=1"), "no version meets it", "drop or correct"),
    "a package with a marker that nothing can meet": (package("vllm", ">3,<2; python_version > '3'"), "no version meets", "drop"),
    "a fact that nothing can meet": (demanded('system_deps: { gcc: ">=9,<9" }'), "no version meets it", "drop or correct"),
    "an engine that nothing can meet": (engine('version: "==1,==2"'), "no version meets it", "drop or correct"),
    "a specifier without an end": (package("vllm", ">=1" + ",>=1" * 60), "at most 200 characters", "correct"),
    "an option for a package": (package("-r requirements.txt"), "is no name of a package", "such as vllm"),
    "an index for a package": (package("--index-url=https://x.org"), "is no name of a package", "such as vllm"),
    "shell for a package": (package("vllm; rm -rf ~"), "is no name of a package", "such as vllm"),
    "a command for a package": (package("$(id)"), "is no name of a package", "such as vllm"),
    "a path for a package": (package("./vllm"), "is no name of a package", "such as vllm"),
    "an address for a package": (package("vllm @ https://x.org/vllm.whl"), "is more than the name of a package", "write vllm"),
    "a package with its version": (package("vllm==1"), "is more than the name of a package", 'write vllm: "<version'),
    "an option for an excluded package": (demanded('python_excluded: ["--pre"]'), "is no name of a package", "such as vllm"),
    "an option for an index": (demanded("python_index: --pre"), "python_index", "correct"),
    "an option for a module": (engine('module: "-c import os"'), "module", "correct"),
    "an option for an image": (demanded("image: --privileged"), "image", "correct"),
    "an option for a repository": (spoilt("someone/Small-1B", "--trust-remote-code # HERE"), "weights.0.repo", "correct"),
    "a fact that nobody can tell": (demanded("system_deps: { cudda: '' }"), "'cudda' is nothing that hallmark", "mean cuda?"),
    "weights outside the folder": (
        spoilt("outside_folder: true, path: ../weights }", "path: ../weights } # HERE"),
        "'../weights' is outside the spec's folder",
        "outside_folder: true",
    ),
    "weights from the root": (
        spoilt("outside_folder: true, path: ../weights }", "path: /etc } # HERE"),
        "'/etc' is outside the spec's folder",
        "outside_folder: true",
    ),
    "an adapter outside the folder": (
        spoilt(
            "outside_folder: true, path: ../weights }",
            "path: w, lora: [{ name: a, path: ../b, checks: [{ prompt: p, expected: e }] }] } # HERE",
        ),
        "'../b' is outside the spec's folder",
        "outside_folder: true",
    ),
}

DUPLICATE_POINT = FAMILY[FAMILY.index("          - isl") : FAMILY.index("      t3k:")]
BAD["the same perf point twice"] = (
    FAMILY.replace(DUPLICATE_POINT, DUPLICATE_POINT + DUPLICATE_POINT.replace("64", "64 # HERE")),
    "two perf points have the same traffic",
    "correct",
)


def one_line(caught: pytest.ExceptionInfo[HallmarkError], *, where: str) -> None:
    """What, where and what to do, in one line, with exit code 2."""
    assert caught.value.where == where
    assert caught.value.exit_code == 2
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 1
    assert str(caught.value).startswith(where)


def test_the_sheet_that_is_spoilt_is_good(tmp_path: Path) -> None:
    """The clean twin of the whole table."""
    assert len(load_catalogue([spec_folder(tmp_path)]).cells) == 6
    assert len(BAD) >= 80


@pytest.mark.parametrize("name", BAD)
def test_a_bad_spec_is_one_line(tmp_path: Path, name: str) -> None:
    text, message, hint = BAD[name]
    folder = spec_folder(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_catalogue([folder])
    one_line(caught, where=f"{folder / 'small.yaml'}:{line_of(text)}")
    assert message in caught.value.message
    assert hint in caught.value.hint


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
# Content -> (what the error says, whether it names a line).
UNREADABLE: dict[str, tuple[bytes, str, bool]] = {
    "empty": (b"", "is empty", True),
    "only a comment": (b"# nothing\n", "is empty", True),
    "binary": (bytes(range(256)), "not UTF-8", False),
    "a zip file": (b"PK\x03\x04\x14\x00\x00\x00", "malformed YAML", True),
    "latin-1": (FAMILY.replace("A family", "Une famille é").encode("latin-1"), "not UTF-8", False),
    "UTF-16": (FAMILY.encode("utf-16"), "not UTF-8", False),
    "a NUL": (FAMILY.encode() + b"\0", "malformed YAML", True),
    "an alias bomb": (BOMB.encode(), "aliases expand", True),
    "too large": (b"# " + b"x" * LARGEST_BYTES, "larger than", False),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_file_that_is_no_spec_is_one_line(tmp_path: Path, name: str) -> None:
    content, message, has_line = UNREADABLE[name]
    folder = spec_folder(tmp_path, content)
    with pytest.raises(SpecError, match=message) as caught:
        load_catalogue([folder])
    one_line(caught, where=f"{folder / 'small.yaml'}{':1' if has_line else ''}")


def test_a_folder_where_a_file_should_be_is_one_line(tmp_path: Path) -> None:
    """Refuses root, too, as a file without permission does not."""
    (spec_folder(tmp_path) / "odd.yaml").mkdir()
    with pytest.raises(SpecError, match="cannot be read: it is a folder") as caught:
        load_catalogue([tmp_path])
    one_line(caught, where=str(tmp_path / "odd.yaml"))


@pytest.mark.parametrize("link", ["weights", "deeper/weights"])
def test_a_link_does_not_lead_weights_out_of_the_folder(tmp_path: Path, link: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    text = spoilt("outside_folder: true, path: ../weights }", f"path: {link} }} # HERE")
    folder = spec_folder(tmp_path / "specs", text)
    (folder / "deeper").mkdir()
    (folder / link).mkdir()
    assert load_catalogue([folder]).cells, "the clean twin: it is a folder of its own"
    (folder / link).rmdir()
    (folder / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpecError, match="is outside the spec's folder") as caught:
        load_catalogue([folder])
    one_line(caught, where=f"{folder / 'small.yaml'}:{line_of(text)}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything; the test above plants what refuses root, too")
def test_a_file_without_permission_is_one_line(tmp_path: Path) -> None:
    (spec_folder(tmp_path) / "small.yaml").chmod(0)
    with pytest.raises(SpecError, match="Permission") as caught:
        load_catalogue([tmp_path])
    one_line(caught, where=str(tmp_path / "small.yaml"))


def test_a_file_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file") as caught:
        load_family(tmp_path / "gone.yaml")
    one_line(caught, where=str(tmp_path / "gone.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("schema_version: 1\ndevices:\n  x: {title: X, vendor: y, detect: {how: magic}} # HERE\n", "magic"),
        ("schema_version: 1\ndevices:\n  x: {title: X, vendor: y, detect: {how: cpu, count: 0}} # HERE\n", "count"),
        ("schema_version: 1\ndevices:\n  x: {title: X, vendor: y} # HERE\n", "detect"),
        ("schema_version: 2\ndevices:\n  perf: {title: X, vendor: y, detect: {how: cpu}} # HERE\n", "something else after -m"),
        ("schema_version: 2\ndevices:\n  spec: {title: X, vendor: y, detect: {how: cpu}} # HERE\n", "something else after -m"),
        ("schema_version: 2\ndevices:\n  not: {title: X, vendor: y, detect: {how: cpu}} # HERE\n", "something else after -m"),
        ("schema_version: 2\ndevices:\n  x: {title: X, vendor: y, detect: {how: cpu}, container: {gpus: '0'}} # HERE\n", "gpus"),
        (
            "schema_version: 2\ndevices:\n  x: {title: X, vendor: y, detect: {how: cpu}, container: {devices: [x]}} # HERE\n",
            "devices",
        ),
        ("schema_version: 3 # HERE\ndevices: {}\n", "newer than this hallmark reads"),
    ],
)
def test_a_bad_device_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = family_file(tmp_path, text, "devices.yaml")
    with pytest.raises(SpecError, match=message) as caught:
        load_devices(path)
    one_line(caught, where=f"{path}:{line_of(text)}")


def test_the_first_of_several_faults_is_shown_and_the_others_are_counted(tmp_path: Path) -> None:
    text = FAMILY.replace("max_context: 256", "max_context: -1").replace("reference: 0.8", "reference: 8 # HERE")
    path = family_file(tmp_path, text)
    with pytest.raises(SpecError, match="and 1 more") as caught:
        load_family(path)
    one_line(caught, where=f"{path}:{line_of(text)}")


def test_nesting_that_would_end_the_process_ends_in_an_error(tmp_path: Path) -> None:
    """Composed in C, so deep a list exhausts the stack: tried in a process of its own."""
    path = family_file(tmp_path, "x: " + "[" * 500_000)
    code = f"from hallmark.specs.yaml_source import read; from pathlib import Path; read(Path({str(path)!r}))"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=60
    )
    assert ended.returncode == 1
    assert "SpecError" in ended.stderr.splitlines()[-1]
    assert "nested too deeply" in ended.stderr
