"""A command line that somebody typed, held against a plan: every spelling, and what neither side says."""

from __future__ import annotations

import pytest

from hallmark.core.precedence import PlanValue
from hallmark.serving.argument_differences import compared

WANTED = [
    PlanValue(name=name, value=value, origin="spec") for name, value in {"max_num_seqs": "8", "enforce_eager": "true"}.items()
]
START = ("/venv/bin/python", "-m", "vllm.entrypoints.openai.api_server", "--model", "/w", "--port", "8000", "--max-model-len=512")


@pytest.mark.parametrize(
    "words",
    ["--max-num-seqs 8 --enforce-eager", "--enforce-eager --max-num-seqs=8", "--max_num_seqs 8 --enforce_eager=true"],
)
def test_the_same_is_the_same_however_it_is_spelt(words: str) -> None:
    assert compared(WANTED, [*START, *words.split()]) == ()


@pytest.mark.parametrize(
    ("words", "told", "contradicts"),
    [
        ("--max-num-seqs 16 --enforce-eager", "it has max_num_seqs=16, the spec says 8", True),
        ("--max-num-seqs 8 --no-enforce-eager", "it has enforce_eager=false, the spec says true", True),
        ("--max-num-seqs 8", "enforce_eager=true is not on its command line", False),
        ("--max-num-seqs 8 --enforce-eager --quantization fp8", "it has quantization=fp8, the spec does not", False),
        ("--max-num-seqs 8 --enforce-eager --hf-token abc", "it has hf_token=[redacted], the spec does not", False),
    ],
)
def test_a_difference_is_told(words: str, told: str, contradicts: bool) -> None:
    (difference,) = compared(WANTED, [*START, *words.split()])
    assert (str(difference), difference.contradicts) == (told, contradicts)


def test_a_command_line_that_says_nothing_is_no_proof() -> None:
    assert len(compared(WANTED, ["VLLM::APIServer"])) == 2
