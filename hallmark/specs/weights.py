"""Weights: where they are, and which LoRA adapters belong to them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hallmark.specs.architecture import Architecture
from hallmark.specs.gaps import Gaps
from hallmark.specs.strict import Contradiction, EngineArguments, Name, Positive, Repository, ServedName, Strict, Text, second


class LoraCheck(Strict):
    """A completion that tells whether the adapter is at work: greedy, `expected` is what its text begins with."""

    prompt: Text
    """What is asked."""
    expected: Text
    """What the answer begins with while the adapter is at work."""
    without: str = ""
    """What the model answers without the adapter; empty where that is not known."""
    max_tokens: Positive = 16
    """How long the answer may get."""

    @model_validator(mode="after")
    def _tells_them_apart(self) -> LoraCheck:
        if self.expected == self.without:
            raise Contradiction("expected is what the model answers without the adapter, too", "expected")
        return self


def _require_one_place(repo: str, path: str) -> None:
    if bool(repo) == bool(path):
        raise Contradiction("give either `repo` or `path`", "path")


class LoraAdapter(Strict):
    """One LoRA adapter: a folder beside the spec (`path`), or a Hugging Face repository (`repo`)."""

    name: Name
    """What requests call it."""
    repo: Repository = ""
    path: str = ""
    """Relative to the spec file."""
    revision: str = ""
    """The commit, tag or branch of the repository; empty for its newest."""
    checks: Annotated[tuple[LoraCheck, ...], Field(min_length=1)]
    """Answers that show it at work, and gone when it is unloaded."""

    @model_validator(mode="after")
    def _one_place(self) -> LoraAdapter:
        _require_one_place(self.repo, self.path)
        return self


class TokenizerFacts(Strict):
    """What the tokenizer beside the weights must say, as far as it is stated; at least one thing."""

    vocab_size: Positive | None = None
    """Its tokens, added ones among them."""
    special_tokens: dict[Name, Text] = Field(default_factory=dict)
    """`eos_token` and the like, and their text."""
    chat_template: bool | None = None
    """Whether it has one."""

    @model_validator(mode="after")
    def _states_something(self) -> TokenizerFacts:
        if self.vocab_size is None and self.chat_template is None and not self.special_tokens:
            raise Contradiction("states nothing that a tokenizer could be held to")
        return self


class Weights(Strict):
    """One set of weights: a folder beside the spec (`path`), or a Hugging Face repository (`repo`)."""

    name: Name
    """What `--model` names, and what the server serves it as unless `served_as` says otherwise."""
    served_as: ServedName = ""
    """The name by which clients ask for it, where that is another one."""
    repo: Repository = ""
    path: str = ""
    """Relative to the spec file."""
    outside_folder: bool = False
    """Whether `path`, and those of the adapters, may lead out of the spec's own folder."""
    revision: str = ""
    """The commit, tag or branch of the repository, which the server is told; empty for its newest."""
    architecture: Architecture = Field(default_factory=dict)
    """In what their config.json differs from, or says more than, the family's `architecture`."""
    tokenizer: TokenizerFacts | None = None
    """What their tokenizer must say, held in each run against the one that the server reads."""
    engine_args: EngineArguments = Field(default_factory=dict)
    """What these weights want of the engine wherever they are served, such as `tool_call_parser`."""
    lora: tuple[LoraAdapter, ...] = Field(default=())
    """Adapters that the server must load and unload while it serves."""
    missing: Gaps = Field(default=())
    """What a certificate needs and these weights lack, wherever they are served: their cells are drafts."""

    @model_validator(mode="after")
    def _one_place(self) -> Weights:
        _require_one_place(self.repo, self.path)
        if (place := second(adapter.name for adapter in self.lora)) is not None:
            raise Contradiction(f"the name '{self.lora[place].name}' is there twice", "lora", place)
        return self
