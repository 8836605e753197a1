"""Command line > environment > ini > default, in every combination; errors that read as one line; names that are near."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.core import errors
from hallmark.core.errors import HallmarkError, InfrastructureError, LaunchError, SpecError, UsageError, nearest
from hallmark.core.settings import Setting, resolve

SOURCES = ("command line", "environment", "ini", "default")


@pytest.mark.parametrize("given_sources", [c for n in range(5) for c in itertools.combinations(SOURCES, n)], ids="+".join)
@pytest.mark.parametrize("absent", [None, ""])
def test_the_first_source_that_says_something_wins(given_sources: tuple[str, ...], absent: Any) -> None:
    """Absent or empty makes no difference: a variable that is set to nothing says nothing."""
    said = {source: f"from {source}" for source in given_sources}
    environ = {} if absent is None else {"HALLMARK_SPEC_DIR": absent}
    if "environment" in said:
        environ["HALLMARK_SPEC_DIR"] = said["environment"]
    found = resolve(
        "spec-dir",
        command_line=said.get("command line", absent),
        environ=environ,
        ini=said.get("ini", ""),
        default=said.get("default", ""),
    )
    winner = given_sources[0] if given_sources else "default"
    assert found == Setting("spec-dir", said.get(winner, ""), winner)  # type: ignore[arg-type]


def test_another_variable_is_not_taken() -> None:
    assert resolve("model", command_line=None, environ={"MODEL": "a", "HALLMARK_MODELS": "b"}, default="c").value == "c"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("llama-3.3-70b", "did you mean Llama-3.3-70B?"),
        ("t3000", "did you mean t3k?"),
        ("galaxy", "known: cpu, n150, t3k"),
    ],
)
def test_near_names_are_offered(name: str, hint: str) -> None:
    known = ["Llama-3.3-70B", "Qwen3"] if "llama" in name else ["t3k", "cpu", "n150"]
    assert nearest(name, known) == hint


def test_many_names_are_counted_and_none_is_said() -> None:
    assert nearest("zzz", [f"a{i}" for i in range(30)]) == "30 are known"
    assert nearest("zzz", []) == "none is known"


@given(st.text(max_size=20), st.lists(st.text(max_size=20)))
def test_a_hint_is_there_for_any_name(name: str, known: list[str]) -> None:
    assert nearest(name, known)


def test_an_error_says_where_what_and_what_to_do() -> None:
    assert (
        str(SpecError("unknown key 'x'", where="a.yaml:3", hint="did you mean y?"))
        == "a.yaml:3: unknown key 'x' - did you mean y?"
    )
    assert str(UsageError("nothing to do")) == "nothing to do"


def test_every_error_has_the_exit_code_that_the_tree_states() -> None:
    codes = {name: getattr(errors, name).exit_code for name in dir(errors) if _is_error(getattr(errors, name))}
    infrastructure = {"HallmarkError", "InfrastructureError", "ProvisionError", "LaunchError", "HarnessError"}
    assert codes == {"UsageError": 2, "SpecError": 2} | dict.fromkeys(infrastructure, 3)
    assert issubclass(LaunchError, InfrastructureError)


def _is_error(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, HallmarkError)


def test_the_servers_fault_is_a_failure_and_ours_is_not() -> None:
    assert issubclass(errors.CheckFailed, AssertionError)
    assert issubclass(errors.Inconclusive, AssertionError)
    assert not issubclass(HallmarkError, AssertionError)
    assert not issubclass(errors.Void, AssertionError)
