"""What `specs lint` says of architectures: which of them one config, or one pattern of two known models, cannot tell apart."""

from __future__ import annotations

from collections.abc import Iterator

from hallmark.specs.catalogue import Catalogue
from hallmark.specs.family import Family
from hallmark.specs.known_models import KnownModel, known_models
from hallmark.specs.matching import Pattern, contradictions, make_pattern, overlaps, patterns_of
from hallmark.workflows.spec_remarks import Remark, Severity


def patterns(catalogue: Catalogue) -> Iterator[Remark]:
    """No config may match two architectures equally well."""
    files = {family.spec.family: family for family in catalogue.families}
    specs = {name: family.spec for name, family in files.items()}
    made = [pattern for name, spec in specs.items() for pattern in patterns_of(name, spec, specs)]
    for overlap in overlaps(made):
        first, second = overlap.first, overlap.second
        where = files[second].source.where(("architecture",))
        if overlap.kind == "tie":
            message = f"a config can match {first} and {second} equally well"
            yield Remark("patterns", Severity.ERROR, where, message, "add the attribute in which they differ to both")
        else:
            message = f"a config can match {first} and {second}; which wins is only a matter of how many attributes each has"
            yield Remark("patterns", Severity.WARNING, where, message, "let one ask for all that the other does")


def undeclared(catalogue: Catalogue) -> Iterator[Remark]:
    """An architecture that nothing is held against is worth a word."""
    for family in catalogue.families:
        for place, weights in enumerate(family.spec.weights):
            if not family.spec.architecture_of(weights):
                where = family.source.where(("weights", place))
                message = f"{weights.name} has no architecture: no run sees whether its weights are this model"
                hint = "state model_type, the dimensions, and what tells it from others"
                yield Remark("patterns", Severity.WARNING, where, message, hint)


def known(catalogue: Catalogue) -> Iterator[Remark]:
    """An architecture is that of its own weights, where those are well known, and never that of two known models."""
    for family in catalogue.families:
        for architecture in family.spec.architectures:
            if pattern := make_pattern(family.spec.family, architecture):
                yield from _confused(family, pattern)
        yield from _not_their_own(family)


def _confused(family: Family, pattern: Pattern) -> Iterator[Remark]:
    taken = [model for model in known_models() if not contradictions(pattern, model.config)]
    if len(taken) > 1:
        message = f"{family.spec.family}: its architecture is that of {' and of '.join(model.repos[0] for model in taken)}"
        differences = ", ".join(_differing(taken))
        yield Remark("known-models", Severity.ERROR, _where(family), message, f"add what tells them apart: {differences}")


def _differing(models: list[KnownModel]) -> Iterator[str]:
    """The attributes in which they differ, as far as both of two state them."""
    for name in dict.fromkeys(name for model in models for name in model.config):
        stated = [model.config[name] for model in models if name in model.config]
        if any(value != stated[0] for value in stated):
            yield name


def _not_their_own(family: Family) -> Iterator[Remark]:
    published = {repo: model for model in known_models() for repo in model.repos}
    for weights in family.spec.weights:
        pattern = make_pattern(weights.name, family.spec.architecture_of(weights))
        if pattern and (model := published.get(weights.repo)) and (wrong := contradictions(pattern, model.config)):
            message = f"{weights.name}: in the config.json of {weights.repo} {'; '.join(map(str, wrong))}"
            yield Remark("known-models", Severity.ERROR, _where(family), message, "state what the published config says")


def _where(family: Family) -> str:
    return family.source.where(("architecture",))
