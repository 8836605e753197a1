"""Which registered architecture a model's config.json is. Pure; the answer does not depend on the order of registration.

A pattern holds attributes that a config must have, with equal values. Every pattern that holds is a candidate; the one with
the most attributes wins, and two with equally many are an error: the first one in some file's order would be a guess.
A quantised model never matches the pattern of one that is not, nor the other way round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

from hallmark.core.errors import SpecError
from hallmark.specs.architecture import Architecture, model_types
from hallmark.specs.model import FamilySpec

Attribute = tuple[str, ...]
"""`("vocab_size",)` or, one level down, `("text_config", "vocab_size")`."""
Value = Any
"""Hashable, as `_comparable` makes it."""
QUANTISATION = ("quantization_config", "compression_config")
"""Where configs say that their weights are quantised; compressed-tensors has used both names."""
_MODEL_TYPE = ("model_type",)
SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Absent:
    """Equal to no value of a pattern."""

    def __str__(self) -> str:
        return "absent"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a config must say to be this model."""

    name: str
    """The model's; several patterns have one name where a model has several configs."""
    model_types: tuple[str, ...]
    """Any of them will do."""
    constraints: tuple[tuple[Attribute, Value], ...]
    """Sorted; model_type is not among them."""

    @property
    def quantised(self) -> bool:
        return any(attribute[0] in QUANTISATION for attribute, _ in self.constraints)

    @property
    def specificity(self) -> int:
        """How many attributes it asks for, besides model_type."""
        return len(self.constraints)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One attribute in which a config is not what a pattern asks for."""

    attribute: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.attribute} is {self.found}, not {self.wanted}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A pattern held against a config."""

    name: str
    specificity: int
    mismatches: tuple[Mismatch, ...]

    @property
    def holds(self) -> bool:
        return not self.mismatches


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two patterns that one config can match: `tie` where nothing tells which wins, `crossing` where only their sizes do."""

    first: str
    second: str
    kind: Literal["tie", "crossing"]


def make_pattern(name: str, architecture: Architecture) -> Pattern | None:
    """The pattern of an architecture; None for one without a model_type, which matches nothing."""
    types = model_types(architecture)
    if not types:
        return None
    found: list[tuple[Attribute, Value]] = []
    for key, value in architecture.items():
        if isinstance(value, Mapping):
            found += [((key, inner), _comparable(wanted)) for inner, wanted in value.items()]
        elif key != "model_type":
            found.append(((key,), _comparable(value)))
    return Pattern(name, types, tuple(sorted(found, key=lambda constraint: constraint[0])))


def patterns_of(name: str, family: FamilySpec, families: Mapping[str, FamilySpec]) -> Iterator[Pattern]:
    """The patterns by which a config is taken for `family`, one for each config that its weights have; all have `name`.

    An architecture that it only takes over from the one of `families` that it extends is that one's: the same model is
    served in another way, and its config.json is taken for the one that is extended. So it is with one that a family before
    it states for the very same weights.
    """
    base = families.get(family.extends)
    own = {weights.repo or weights.name for weights in family.weights}
    others = [base] if base else []
    for other in families.values():
        if other is family:
            break
        if own & {weights.repo or weights.name for weights in other.weights}:
            others.append(other)
    for architecture in family.architectures:
        if not any(architecture in other.architectures for other in others) and (pattern := make_pattern(name, architecture)):
            yield pattern


class _Index:
    """The patterns of one model_type: by their telling attribute and its value, then by all their attributes and values.

    The telling attribute of a pattern is that of its attributes which has the most values among all patterns. So a config
    looks each such attribute up once, and only what agrees there is looked at further.
    """

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self._always: list[Pattern] = []
        self._by_telling: dict[Attribute, dict[Value, dict[tuple[Attribute, ...], dict[tuple[Value, ...], list[Pattern]]]]] = {}
        self._by_name: dict[str, list[Attribute]] = defaultdict(list)
        known = list(patterns)
        several: dict[Attribute, set[Value]] = defaultdict(set)
        for attribute, value in (constraint for pattern in known for constraint in pattern.constraints):
            several[attribute].add(value)
        for pattern in known:
            if not pattern.constraints:
                self._always.append(pattern)
                continue
            key, value = max(pattern.constraints, key=lambda constraint: (len(several[constraint[0]]), constraint[0]))
            if key not in self._by_telling:
                self._by_name[key[0]].append(key)
            attributes, values = zip(*pattern.constraints, strict=True)
            of_value = self._by_telling.setdefault(key, {}).setdefault(value, {})
            of_value.setdefault(attributes, {}).setdefault(values, []).append(pattern)

    def holding(self, view: _View) -> Iterator[Pattern]:
        """The patterns whose every attribute is as the config says."""
        yield from self._always
        for key in self._asked(view):
            for attributes, by_values in self._by_telling[key].get(view.value(key), {}).items():
                yield from by_values.get(tuple(map(view.value, attributes)), ())

    def _asked(self, view: _View) -> Iterable[Attribute]:
        """The telling attributes that the config may have: all of them, or where those are many, those that it names."""
        names = view.names
        if names is None or len(self._by_telling) <= len(names):
            return self._by_telling
        return [key for name in names for key in self._by_name.get(name, ())]


class Matcher:
    """All patterns, indexed by model_type."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        self.patterns = tuple(sorted(patterns, key=lambda pattern: pattern.name))
        self._of_type: dict[str, _Index] = {}
        for model_type in {model_type for pattern in self.patterns for model_type in pattern.model_types}:
            self._of_type[model_type] = _Index([p for p in self.patterns if model_type in p.model_types])

    def candidates(self, config: object) -> tuple[Pattern, ...]:
        """Every pattern that holds for `config` (a mapping, a config object, or an object with `hf_config`), best first."""
        view = _View(config)
        model_type = view.value(_MODEL_TYPE)
        index = self._of_type.get(model_type) if isinstance(model_type, str) else None
        held = [pattern for pattern in index.holding(view) if pattern.quantised == view.quantised] if index else []
        return tuple(sorted(held, key=lambda pattern: (-pattern.specificity, pattern.name)))

    def match(self, config: object) -> Pattern | None:
        """The most specific pattern that holds, None if none does; SpecError that names the candidates of a tie."""
        held = self.candidates(config)
        best = [pattern for pattern in held if pattern.specificity == held[0].specificity]
        names = list(dict.fromkeys(pattern.name for pattern in best))
        if len(names) > 1:
            model_type = _View(config).value(_MODEL_TYPE)
            raise SpecError(
                f"a config of model_type {model_type} matches {len(names)} architectures equally well: {', '.join(names)}",
                where="matching",
                hint="add the attribute in which they differ to their `architecture`",
            )
        return best[0] if best else None

    def nearest(self, config: object, *, most: int = SHOWN) -> tuple[Comparison, ...]:
        """The patterns that come nearest to `config`, those that hold first, with each attribute that they failed on."""
        view = _View(config)
        compared = [_compare(pattern, view) for pattern in self.patterns]
        compared.sort(key=lambda c: (len(c.mismatches), -c.specificity, c.name))
        best: dict[str, Comparison] = {}
        for comparison in compared:
            best.setdefault(comparison.name, comparison)
        return tuple(best.values())[:most]


def overlaps(patterns: Iterable[Pattern]) -> Iterator[Overlap]:
    """Each pair of which one config may match both, unless one asks for all that the other does and more."""
    of_type: dict[tuple[str, bool], list[Pattern]] = defaultdict(list)
    for pattern in sorted(patterns, key=lambda pattern: pattern.name):
        for model_type in pattern.model_types:
            of_type[model_type, pattern.quantised].append(pattern)
    pairs = (pair for group in of_type.values() for pair in combinations(group, 2))
    for first, second in dict.fromkeys(pairs):
        one, other = dict(first.constraints), dict(second.constraints)
        if first.name == second.name or any(one[attribute] != other[attribute] for attribute in one.keys() & other.keys()):
            continue
        if len(one) == len(other):
            yield Overlap(first.name, second.name, "tie")
        elif not (one.keys() <= other.keys() or other.keys() <= one.keys()):
            yield Overlap(first.name, second.name, "crossing")


class _View:
    """A config as attributes, whatever it is: a mapping, an object, or vLLM's ModelConfig around one."""

    def __init__(self, config: object) -> None:
        self._config = _get(config, "hf_config") if _get(config, "hf_config") is not ABSENT else config
        self._known: dict[Attribute, Value] = {}

    def value(self, attribute: Attribute) -> Value:
        """What the config says there, in comparable form; ABSENT where it says nothing."""
        if attribute not in self._known:
            there: Any = self._config
            for name in attribute:
                there = self._quantisation() if name in QUANTISATION else _get(there, name)
            self._known[attribute] = _comparable(there)
        return self._known[attribute]

    @property
    def names(self) -> frozenset[str] | None:
        """What it names at its top; None for an object, which may have attributes that it computes."""
        if not isinstance(self._config, Mapping):
            return None
        return frozenset((*self._config, *QUANTISATION))

    @property
    def quantised(self) -> bool:
        return self._quantisation() is not ABSENT

    def _quantisation(self) -> Any:
        for inside in (self._config, _get(self._config, "text_config")):
            for name in QUANTISATION:
                if (there := _get(inside, name)) and there is not ABSENT:
                    return there
        return ABSENT


def _get(config: Any, name: str) -> Any:
    found = config.get(name, ABSENT) if isinstance(config, Mapping) else getattr(config, name, ABSENT)
    return ABSENT if found is None else found


def _comparable(value: Any) -> Value:
    """Hashable, and equal where the values are: 40 is 40.0, but true is not 1, and '40' is not 40."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, str | int | float) or value is ABSENT:
        return value
    if isinstance(value, list | tuple):
        return ("list", *map(_comparable, value))
    return ABSENT  # a mapping, or an object: equal to no value of a pattern


def compare(pattern: Pattern, config: object) -> Comparison:
    """Every attribute in which `config` is not what `pattern` asks for."""
    return _compare(pattern, _View(config))


def contradictions(pattern: Pattern, config: object) -> tuple[Mismatch, ...]:
    """As `compare`, of a config that is known in part: what it leaves out contradicts nothing, but a quantisation."""
    view = _View(config)
    known = [c for c in pattern.constraints if c[0][0] in QUANTISATION or view.value(c[0]) is not ABSENT]
    return _compare(replace(pattern, constraints=tuple(known)), view).mismatches


def _compare(pattern: Pattern, view: _View) -> Comparison:
    model_type = view.value(_MODEL_TYPE)
    wrong = []
    if model_type not in pattern.model_types:
        wrong.append(Mismatch("model_type", " or ".join(map(_shown, pattern.model_types)), _shown(model_type)))
    wrong += [
        Mismatch(".".join(attribute), _shown(value), _shown(found))
        for attribute, value in pattern.constraints
        if (found := view.value(attribute)) != value
    ]
    if pattern.quantised != view.quantised and not any(m.attribute.startswith(QUANTISATION) for m in wrong):
        wrong.append(Mismatch("quantization", *(_QUANTISED[flag] for flag in (pattern.quantised, view.quantised))))
    return Comparison(pattern.name, pattern.specificity, tuple(wrong))


_QUANTISED = {True: "there", False: "absent"}


def _shown(value: Value) -> str:
    match value:
        case ("bool", flag):
            return str(flag).lower()
        case ("list", *items):
            return "[" + ", ".join(map(_shown, items)) + "]"
        case str():
            return repr(value)
        case _:
            return str(value)
