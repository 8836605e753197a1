"""Version keys: what is one, which two exclude each other, and which holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from hallmark.specs.version_keys import BadVersionKey, check_keys, choose, parse_key, pick

TABLE = {"torch_sendnn_lt_1_0_3": 2080, "default": 8192}


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("torch_sendnn_lt_1_0_3", "torch-sendnn < 1.0.3"),
        ("vllm_ge_0_6", "vllm >= 0.6"),
        ("torch_eq_2", "torch == 2"),
        ("Torch_SendNN_le_1", "torch-sendnn <= 1"),
        ("le_gt_1", "le > 1"),
        ("my_lt_tool_gt_3_1", "my-lt-tool > 3.1"),
    ],
)
def test_a_key_is_a_distribution_a_relation_and_a_version(text: str, reads: str) -> None:
    assert str(parse_key(text)) == reads


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "torch",
            "torch_lt",
            "torch_lt_",
            "lt_1",
            "_lt_1",
            "torch_lte_1",
            "torch_ne_1",
            "torch__lt_1",
            "torch_lt_1_",
            "Default",
        ),
        *("torch-sendnn_lt_1", "torch_lt_1.0", "torch_lt_v1", "torch_lt_1_0rc1", "torch < 1", "torch_lt_1\n", "default_lt"),
    ],
)
def test_what_is_no_key_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(BadVersionKey, match="is no version key") as caught:
        check_keys([text])
    assert caught.value.key == text
    assert "torch_sendnn_lt_1_0_3" in caught.value.hint


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a_lt_2", "a_lt_1"),
        ("a_lt_2", "a_le_1"),
        ("a_gt_1", "a_ge_2"),
        ("a_lt_2", "a_gt_1"),
        ("a_le_2", "a_ge_2"),
        ("a_lt_1_0_1", "a_gt_1_0"),
        ("a_eq_1", "a_le_1"),
        ("a_eq_1", "a_eq_1_0"),
        ("a_lt_1", "b_lt_1"),
        ("a_b_lt_1", "A_B_lt_1"),
    ],
)
def test_two_keys_that_can_hold_at_once_are_refused(first: str, second: str) -> None:
    for keys in ([first, second], [second, "default", first]):
        with pytest.raises(BadVersionKey, match="overlap") as caught:
            check_keys(keys)
        assert first in str(caught.value)
        assert second in str(caught.value)


@pytest.mark.parametrize(
    "keys",
    [
        ["a_lt_2", "a_ge_2"],
        ["a_le_2", "a_gt_2"],
        ["a_lt_2", "a_eq_2", "a_gt_2"],
        ["a_lt_1", "a_gt_2"],
        ["a_eq_1", "a_eq_2"],
        ["default"],
        [],
    ],
)
def test_keys_that_exclude_each_other_are_fine(keys: list[str]) -> None:
    assert len(check_keys(keys)) == len([key for key in keys if key != "default"])


@pytest.mark.parametrize(
    ("installed", "value"),
    [
        ("1.0.2", 2080),
        ("1.0.3", 8192),
        ("1.1.0", 8192),
        ("0.0.1", 2080),
        ("1.0.3rc1", 2080),
        ("1.0.2+cpu", 2080),
        ("1.0.3+cpu", 8192),
        ("1.0.3.post1", 8192),
        ("1.0.3.dev7+gabc", 2080),
    ],
)
def test_the_version_decides(installed: str, value: int) -> None:
    choice, chosen = pick(TABLE, {"Torch.SendNN": installed})
    assert chosen == value
    assert choice.certain
    assert "torch-sendnn" in choice.reason


@pytest.mark.parametrize(
    ("installed", "certain", "why"),
    [
        ({}, True, "torch-sendnn is not installed"),
        (None, False, "the version of torch-sendnn is unknown"),
        ({"torch_sendnn": "main"}, False, "torch-sendnn is 'main', a version that is unknown"),
    ],
)
def test_without_a_version_the_default_holds_and_the_choice_says_whether_that_is_known(
    installed: dict[str, str] | None, certain: bool, why: str
) -> None:
    choice, value = pick(TABLE, installed)
    assert (value, choice.certain, choice.reason) == (8192, certain, why)


def test_without_a_default_nothing_may_hold() -> None:
    choice, value = pick({"torch_sendnn_lt_1_0_3": 2080}, {"torch_sendnn": "1.0.3"})
    assert (choice.key, value) == ("", None)


VERSION_KEYS = st.builds(
    lambda relation, parts: f"a_{relation}_" + "_".join(map(str, parts)),
    st.sampled_from(["lt", "le", "eq", "ge", "gt"]),
    st.lists(st.integers(0, 2), min_size=1, max_size=3),
)
INSTALLED = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(st.lists(VERSION_KEYS, max_size=4), st.lists(INSTALLED, min_size=1, max_size=8))
def test_keys_that_are_accepted_never_hold_together(keys: list[str], versions: list[str]) -> None:
    try:
        parsed = check_keys(keys)
    except BadVersionKey:
        return
    for version in versions:
        holding = [key.text for key in parsed if key.holds(Version(version))]
        assert len(holding) <= 1
        assert choose([*keys, "default"], {"a": version}).key == (holding[0] if holding else "default")
