"""What changed between two runs: plain values, most important first. Knows neither files nor formats."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hallmark.core.records import Evidence
from hallmark.core.verdict import Verdict
from hallmark.core.wording import plural
from hallmark.report.document import Outcome

Topic = Literal["outcome", "verdicts", "scores", "speeds", "arguments", "environment", "spec", "code"]

TOPIC_TITLES: dict[Topic, str] = {
    "outcome": "Outcome",
    "verdicts": "Verdicts",
    "scores": "Scores",
    "speeds": "Speeds",
    "arguments": "Arguments and options",
    "environment": "Environment",
    "spec": "Spec",
    "code": "Code",
}
"""In the order in which they matter."""


class Effect(StrEnum):
    """What a change means; the first that there is decides the headline."""

    WORSE = "worse"
    """Shown to be worse."""
    BETTER = "better"
    """Shown to be better."""
    CHANGED = "changed"
    """Another one, of which no side is better by itself."""
    UNDECIDED = "undecided"
    """Measured differently, and the difference may be chance."""

    @property
    def verdict(self) -> Verdict:
        """As it is drawn: only what is worse is marked."""
        return Verdict.FAIL if self is Effect.WORSE else Verdict.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that is not the same in both runs."""

    name: str
    before: str
    """As a reader sees it."""
    after: str
    effect: Effect
    reason: str = ""
    difference: Evidence | None = None
    """Where both measured it: what was gained, or below 0 lost, with its interval; of a score in its own unit, of a speed as a
    share of what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """All that changed in one topic, the worst first."""

    topic: Topic
    changes: tuple[Change, ...] = ()
    same: int = 0
    """So many things were looked at and did not change."""
    note: str = ""
    """What a reader must know of the section, such as that a file was missing."""

    @property
    def title(self) -> str:
        return TOPIC_TITLES[self.topic]

    @property
    def counts(self) -> Counter[Effect]:
        return Counter(change.effect for change in self.changes)

    @property
    def line(self) -> str:
        """How many changes there are of each effect, such as `2 worse, 1 undecided, 40 unchanged`."""
        counts = self.counts
        told = [f"{counts[effect]} {effect}" for effect in Effect if counts[effect]]
        if self.same:
            told.append(f"{self.same:,} unchanged" if told else f"no difference ({self.same:,} compared)")
        return ", ".join(told) or ("no difference" if self.topic == "outcome" else "nothing to compare")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two runs, as it is named."""

    letter: str
    folder: str
    cell: str
    model: str
    device: str
    impl: str
    started_at: str
    outcome: Outcome
    title: str
    """The outcome with its tier."""
    partial: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """From one run to another."""

    before: Side
    after: Side
    sections: tuple[Section, ...]
    """One for each topic, in the order in which they matter."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """What the two runs are not both of, such as `models differ: a and b`; empty where they are of the same."""
        before, after = self.before, self.after
        pairs = (
            ("models", before.model, after.model),
            ("devices", before.device, after.device),
            ("implementations", before.impl, after.impl),
        )
        found = [f"the {what} differ: {old} and {new}" for what, old, new in pairs if old != new]
        if before.partial != after.partial:
            told = [", ".join(side.partial) or "a whole run" for side in (before, after)]
            found.append(f"not as much was asked of both: {told[0]}; {told[1]}")
        return tuple(found)

    @property
    def counts(self) -> Counter[Effect]:
        return sum((section.counts for section in self.sections), Counter())

    @property
    def line(self) -> str:
        """How many changes there are of each effect, such as `2 worse, 3 changed`; empty where there is none."""
        counts = self.counts
        return ", ".join(f"{counts[effect]} {effect}" for effect in Effect if counts[effect])

    @property
    def worse(self) -> bool:
        return self.counts[Effect.WORSE] > 0

    @property
    def headline(self) -> str:
        """What of it a reader wants to know first."""
        if worse := self._told(Effect.WORSE):
            return f"{self.after.letter} is worse than {self.before.letter}: {worse}"
        if better := self._told(Effect.BETTER):
            return f"{self.after.letter} is better than {self.before.letter}: {better}"
        if self.counts:
            return f"nothing got worse from {self.before.letter} to {self.after.letter}"
        return f"no difference between {self.before.letter} and {self.after.letter}"

    def _told(self, effect: Effect) -> str:
        """Such as `1 outcome, 3 verdicts`; no other topic has a better side."""
        nouns = ((section.counts[effect], section.title.lower().removesuffix("s")) for section in self.sections)
        return ", ".join(plural(count, noun) for count, noun in nouns if count)
