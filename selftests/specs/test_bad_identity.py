"""What a spec says of the identity of its server, and cannot mean: commits that are none, architectures that match nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import SpecError
from hallmark.specs.catalogue import load_catalogue
from selftests.specs.sheets import line_of, spec_folder, spoilt
from selftests.specs.test_bad_specs import entry, one_line

ENGINE = 'engine: { version: ">=1.0,<2"'
BAD = {
    "a commit of six digits": (
        entry("commits: { vllm: 1a2b3c } # HERE"),
        "'1a2b3c' is too short for a commit",
        "7 hexadecimal digits or more",
    ),
    "an engine's commit of six digits": (
        spoilt(f"{ENGINE} }}", f"{ENGINE}, commit: 1a2b3c }} # HERE"),
        "too short for a commit",
        "7 hexadecimal digits or more",
    ),
    "a commit that is none": (entry('commits: { vllm: "a b" } # HERE'), "neither a commit nor a tag", "a commit of 7 digits"),
    "an empty commit": (entry('commits: { vllm: "" } # HERE'), "neither a commit nor a tag", "a commit of 7 digits or more"),
    "the engine's commit twice": (
        spoilt(f"{ENGINE} }}", f"{ENGINE}, commit: 1a2b3c4 }}\n    commits: {{ vllm: 1a2b3c4d }} # HERE"),
        "engine.commit pins vllm, too: keep one",
        "correct",
    ),
    "the engine's commit once more on a device": (
        entry("commits: { vllm: 1a2b3c4d } # HERE").replace(f"{ENGINE} }}", f"{ENGINE}, commit: 1a2b3c4 }}"),
        "engine.commit pins vllm, too: keep one",
        "correct",
    ),
    "weights of an architecture that matches nothing": (
        spoilt("{ model_type: tiny, hidden_size: 8 }", "{}").replace(
            "path: ../weights }", "path: ../weights, architecture: { hidden_size: 8 } } # HERE"
        ),
        "needs model_type",
        "correct",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_one_line(tmp_path: Path, name: str) -> None:
    text, message, hint = BAD[name]
    folder = spec_folder(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_catalogue([folder])
    one_line(caught, where=f"{folder / 'small.yaml'}:{line_of(text)}")
    assert message in caught.value.message
    assert hint in caught.value.hint
