"""A specifier that no version meets is found, and none that some version meets is called so."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from hallmark.specs.satisfiable import satisfiable


@pytest.mark.parametrize(
    "text",
    [
        *("", ">=2,<3", ">1.0,<1.0.1", "==1.0,!=1.0.1", "~=1.4,!=1.4.*", ">=1!0", ">0,<1!0"),
        *(">=1.0.dev1,<1.0.dev2", ">=1,<=1", "==1.*,>1.99", "!=1,!=2,!=3", "==1.0+cpu", "===1.0", "<0.0.1", ">=0,<0.1,!=0.0.1"),
        *(">=1,<2,!=1.0.*,!=1.1.*", "<1.0a1", ">1.0.post1,<1.1", "<=0.dev0", "==2.13.*,!=2.13.0"),
    ],
)
def test_some_version_meets_it(text: str) -> None:
    assert satisfiable(text)


@pytest.mark.parametrize(
    "text",
    [
        *(">3,<2", ">=2,<2", "==1,==2", "==1.0,!=1.0", ">1,<=1", "==1.*,!=1.*", "~=1.4,>=2", "==1.2.*,<1.2.dev0", "<0.dev0"),
        *("==1.0,>1.0", "===1.0,===1.1", ">=2,<3,!=2.*", "==1.0+cpu,==1.0+cu12", ">1.0,<1.0.dev1", "===no.version.at.all"),
        *(">=1!0,<5", ">1.0rc1,<1.0", ">=0,<0.1,!=0.0.*", "~=2.1.3,!=2.1.*"),
    ],
)
def test_no_version_meets_it(text: str) -> None:
    assert not satisfiable(text)


RELEASES = [".".join(map(str, parts)) for length in (1, 2, 3) for parts in product((0, 1, 2), repeat=length)]
ENDS = ("", "a0", "rc1", ".dev0", ".dev1", ".post0", ".post1", "a0.dev0", "rc1.dev1", ".post1.dev0", "+cpu", ".post1+cpu")
SEEN = [Version(epoch + text + end) for epoch in ("", "1!") for text in (*RELEASES, "1.2.0.1", "1.99", "3") for end in ENDS]
NAMED = [version for version in SEEN if len(version.release) < 4]
clauses = st.tuples(st.sampled_from([">", "<", ">=", "<=", "==", "!=", "~=", "===", "==.*", "!=.*"]), st.sampled_from(NAMED))


def written(operator: str, version: Version) -> str:
    if operator.endswith(".*"):
        release = ".".join(map(str, version.release))
        return f"{operator[:2]}{version.epoch}!{release}.*"
    return operator + (str(version) if operator.count("=") > 1 or operator == "!=" else version.public)


@settings(max_examples=150, deadline=None)
@given(st.lists(clauses, min_size=1, max_size=4))
def test_what_is_called_contradictory_no_version_meets(clauses: list[tuple[str, Version]]) -> None:
    """The other way round needs no test: whatever is called satisfiable is so by a version that was found."""
    text = ",".join(written(*clause) for clause in clauses)
    try:
        wanted = SpecifierSet(text)
    except InvalidSpecifier:
        return
    assert satisfiable(text) or not [version for version in SEEN if wanted.contains(version, prereleases=True)]
