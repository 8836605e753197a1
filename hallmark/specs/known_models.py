"""Well-known public models and what their config.json says: what an architecture must not confuse."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hallmark.specs.architecture import Architecture
from hallmark.specs.loader import validate
from hallmark.specs.strict import Strict, Text
from hallmark.specs.yaml_source import read

KNOWN_MODELS_FILE = Path(__file__).with_name("known_models.yaml")


class KnownModel(Strict):
    """One config, as far as it is known for sure."""

    repos: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The Hugging Face repositories that publish it; no config.json tells these apart."""
    config: Annotated[Architecture, Field(min_length=1)]


class KnownModels(Strict):
    models: tuple[KnownModel, ...]


@cache
def known_models() -> tuple[KnownModel, ...]:
    """Those of `known_models.yaml`, beside this file."""
    return validate(KnownModels, read(KNOWN_MODELS_FILE)).models
