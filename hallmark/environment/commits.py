"""Whether what runs is of the commits that a spec pins. Pure: what was read of builds comes in, a state goes out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from hallmark.environment import builds as probe
from hallmark.environment.findings import State

UNKNOWN = probe.UNKNOWN
REVISION, SOURCE = "org.opencontainers.image.revision", "org.opencontainers.image.source"
LABEL = "hallmark.commit."
"""`hallmark.commit.<name>=<commit>` on an image says of what it was built."""
_HEX = re.compile(r"[0-9a-f]{7,64}")
_ALSO = {"tt-metal": "ttnn"}
"""A repository's name -> the distribution that is built from it under another name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One place that tells what a build is of, or that might have."""

    names: tuple[str, ...]
    """What it answers to, normalised: the distribution, its modules, its repository. The first is the one to show."""
    version: str
    commit: str
    """Hexadecimal, perhaps short; "Unknown" where that place does not tell."""
    tags: tuple[str, ...] = ()
    """What the commit is called there."""
    changed: tuple[str, ...] = ()
    """Files that are not as the commit has them."""
    doubt: str = ""
    """Why it is not known whether files are changed."""
    source: str
    """The place: where the commit stands, or where it was looked for."""

    @property
    def tells(self) -> bool:
        return self.commit != UNKNOWN or bool(self.tags)

    @property
    def title(self) -> str:
        return f"{self.names[0]} {self.version}".strip()

    @property
    def shown(self) -> str:
        """Its commit, and what that is called."""
        called = ", ".join(self.tags)
        return f"{self.commit} ({called})" if self.tags and self.commit != UNKNOWN else called or self.commit

    def __str__(self) -> str:
        return f"{self.shown} ({self.title}: {self.source})"


def of_labels(labels: Mapping[str, str]) -> tuple[Build, ...]:
    """What the labels of an image tell: ours, and the revision of the repository that its source label names."""
    said = {name.removeprefix(LABEL): (value, name) for name, value in labels.items() if name.startswith(LABEL)}
    source = probe.repository(labels.get(SOURCE, ""))
    if source and labels.get(REVISION):
        said.setdefault(source, (labels[REVISION], REVISION))
    return tuple(_labelled(name, value.strip(), label) for name, (value, label) in said.items())


def _labelled(name: str, value: str, label: str) -> Build:
    return Build(
        names=(str(canonicalize_name(name)),),
        version="",
        commit=value.lower() if is_commit(value) else UNKNOWN,
        tags=() if is_commit(value) else (value,),
        source=f"the image's label {label}",
    )


def hold(name: str, pinned: str, builds: Sequence[Build]) -> tuple[State, str, str]:
    """(state, what was found, why) of one pinned commit or tag: a place must tell it, and none may tell another."""
    answering = [build for build in builds if _names(name) & set(build.names)]
    telling = [build for build in answering if build.tells]
    found = ", ".join(dict.fromkeys(build.shown for build in telling)) or UNKNOWN
    verdicts = [_is(pinned, build, telling) for build in telling]
    if wrong := [build for build, same in zip(telling, verdicts, strict=True) if same is False]:
        return State.CONFLICTING, found, f"it is {'; '.join(map(str, wrong))}, not {pinned}"
    if changed := [build for build in telling if build.changed]:
        files = "; ".join(f"{', '.join(build.changed)} ({build.source})" for build in changed)
        return State.CONFLICTING, found, f"it is {pinned} with changes: {files}"
    if doubts := [build.doubt for build in telling if build.doubt]:
        return State.UNKNOWN, found, "; ".join(doubts)
    if True in verdicts:
        return State.SATISFIED, found, "; ".join(map(str, telling))
    looked = "; ".join(str(build) if build.tells else f"{build.title}: {build.source}" for build in answering)
    return State.UNKNOWN, found, f"{looked or 'nothing here has that name'} - {_how_to_tell(name, pinned)}"


def _names(name: str) -> set[str]:
    """All that a pinned name may be called."""
    normal = str(canonicalize_name(name))
    return {normal, _ALSO.get(normal, normal)}


def _is(pinned: str, build: Build, telling: Sequence[Build]) -> bool | None:
    """Whether a build is of `pinned`; None where it tells too little. A tag is the commit of whichever build carries it."""
    if pinned in build.tags:
        return True
    commits = [b.commit for b in telling if pinned in b.tags] if not is_commit(pinned) else [pinned.lower()]
    if build.commit != UNKNOWN and commits:
        return all(build.commit.startswith(commit) or commit.startswith(build.commit) for commit in commits)
    return False if build.tags and not is_commit(pinned) else None


def is_commit(text: str) -> bool:
    """Whether it is a commit's hash, whole or cut short; anything else is a tag."""
    return bool(_HEX.fullmatch(text.lower()))


def _how_to_tell(name: str, pinned: str) -> str:
    """What makes a commit readable, for whoever builds the server's environment."""
    tag = "" if is_commit(pinned) else "pin the commit, fetch the checkout's tags, "
    variable = probe.CHECKOUT_VARIABLES[0].format(re.sub(r"\W", "_", name).upper())
    checkout = f"install it from its checkout (pip install -e) or its git URL, name its checkout in {variable}"
    return f"to make it readable: {tag}{checkout}, or label the image {LABEL}{name}=<commit>"
