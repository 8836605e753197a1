"""Whether any version can meet a version specifier: `>3,<2` and `==1.0,!=1.0` can be written, and never be met. Pure.

What a clause admits changes only at its own version and at the ends of its prefix (`==1.2.*`, `~=1.2`). So it is enough to
try, of each version that is named, itself, its pre-, post- and development releases, and the versions next below and above.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

_FAR = 10**9
"""A part of a release that no other is above."""
_BESIDE = ("", ".dev0", "a0.dev0", "a0", "rc0", f"rc{_FAR}", ".post0.dev0", ".post0", f".post{_FAR}", ".0.0.1")


@lru_cache(maxsize=4096)
def satisfiable(specifier: str) -> bool:
    """Whether some version meets every clause; pre-releases count, as they do where an environment is checked."""
    wanted = SpecifierSet(specifier)
    return not len(wanted) or any(wanted.contains(version, prereleases=True) for version in _candidates(wanted))


def _candidates(wanted: SpecifierSet) -> Iterator[Version]:
    for clause in wanted:
        try:
            named = Version(clause.version.removesuffix(".*"))
        except InvalidVersion:
            continue  # `===` compares any text; what is no version, no installed version is
        yield named
        for length in range(1, len(named.release) + 1):
            yield from _around(named, named.release[:length])
        yield from _inside(named)


def _around(named: Version, release: tuple[int, ...]) -> Iterator[Version]:
    """The versions of a release and of the ones next to it, up and down."""
    *front, last = release
    below = (*front, last - 1, _FAR) if last else (*_lowered(front), 0)
    for parts in (release, (*front, last + 1), below):
        text = f"{named.epoch}!" + ".".join(map(str, parts))
        yield from (Version(text + suffix) for suffix in _BESIDE)
    if named.epoch:
        yield Version(f"{named.epoch - 1}!{_FAR}")


def _lowered(front: list[int]) -> tuple[int, ...]:
    """A release next below all that begin with `front`: 2.0 -> 1.FAR; what has nothing below stays."""
    place = max((number for number, part in enumerate(front) if part), default=-1)
    return tuple(front) if place < 0 else (*front[:place], front[place] - 1, _FAR)


def _inside(named: Version) -> Iterator[Version]:
    """Versions next to a pre-, post- or development release."""
    base = f"{named.epoch}!{named.base_version.rpartition('!')[2]}"
    pre = "".join(map(str, named.pre or ()))
    post = f".post{named.post}" if named.post is not None else ""
    stages = [base + pre + post]
    if named.pre:
        letter, number = named.pre
        stages += [f"{base}{letter}{number + 1}", f"{base}{letter}{max(number - 1, 0)}", f"{base}{letter}{number}.post{_FAR}"]
    if named.post is not None:
        stages += [f"{base}{pre}.post{named.post + 1}", f"{base}{pre}.post{max(named.post - 1, 0)}"]
    for stage in stages:
        yield from map(Version, (stage, f"{stage}.dev0", f"{stage}.dev{_FAR}"))
        if named.dev is not None:
            yield from map(Version, (f"{stage}.dev{named.dev + 1}", f"{stage}.dev{max(named.dev - 1, 0)}"))
