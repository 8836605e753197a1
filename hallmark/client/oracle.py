"""How many tokens a prompt really has: the model's own tokenizer and chat template, read here and not asked of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Template
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from hallmark.core.errors import InfrastructureError
from hallmark.specs.cell import Cell


class TokenOracle:
    """Counts prompt tokens independently of the server under test."""

    def __init__(self, tokenizer: Tokenizer, config: Mapping[str, Any], template: str) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._template = template

    @classmethod
    def from_folder(cls, folder: Path) -> TokenOracle:
        """Read tokenizer.json, tokenizer_config.json and chat_template.jinja (or the template in the config)."""
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        except Exception as exc:  # the tokenizers package raises bare Exception
            raise InfrastructureError(f"no usable tokenizer: {exc}", where=str(folder), hint="check the weights") from exc
        # A tokenizer's file may hold how its trainer cut and filled up; a server does neither.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        template = folder / "chat_template.jinja"
        text = template.read_text(encoding="utf-8") if template.is_file() else _default(config.get("chat_template", ""))
        return cls(tokenizer, config, text)

    def ids(self, text: str) -> list[int]:
        """`text` as a completion prompt, special tokens that the tokenizer adds included."""
        return list(self._tokenizer.encode(text).ids)

    def count(self, text: str) -> int:
        """How many tokens `ids` gives."""
        return len(self.ids(text))

    @property
    def size(self) -> int:
        """Entries of the vocabulary, special ones included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def count_chat(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Tokens of `messages` rendered by the chat template with the generation prompt, as `transformers` renders it."""
        return len(self.chat_ids(messages))

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The token ids of `messages` in the chat template with the generation prompt."""
        special = {name: _text(token) for name, token in self._config.items() if name.endswith("_token") and _text(token)}
        variables = {"tools": None, "documents": None, "messages": messages, "add_generation_prompt": True}
        try:
            rendered = self._compiled.render(**special, **variables)
        except TemplateError as exc:
            raise InfrastructureError(f"the chat template cannot be rendered: {exc}", hint="check the weights' template") from exc
        return list(self._tokenizer.encode(rendered, add_special_tokens=False).ids)

    @cached_property
    def _compiled(self) -> Template:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = _tojson
        environment.globals |= {
            "raise_exception": _refuse,
            "strftime_now": lambda form: datetime.now().astimezone().strftime(form),
        }
        return environment.from_string(self._template)

    def special_texts(self) -> list[str]:
        """The texts of the special tokens: what marks roles and ends, and must not come from a user."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        return sorted(token.content for token in added if token.special)

    def ordinary_words(self) -> list[str]:
        """Texts of ASCII letters that are tokens, sorted: of them random texts are made that have about a token a word."""
        special = self.special_texts()
        words = {_word(token) for token in self._tokenizer.get_vocab() if token not in special}
        return sorted(word for word in words if word.isascii() and word.isalpha())

    def ordinary_ids(self) -> list[int]:
        """Token ids of printable ASCII, for random prompts: halves of characters would be answered with such."""
        special = {token.content for token in self._tokenizer.get_added_tokens_decoder().values()}
        return sorted(
            id_
            for token, id_ in self._tokenizer.get_vocab().items()
            if token not in special and token.isascii() and token.isprintable()
        )


def _word(token: str) -> str:
    """A token without the sign that stands for a blank before it."""
    return token.lstrip("\u0120\u2581")


def oracle_of(cell: Cell) -> TokenOracle:
    """The cell's own tokenizer and chat template, read from its weights; those of a repository are fetched once."""
    if cell.weights.path:
        return TokenOracle.from_folder(cell.beside_spec(cell.weights.path))
    from huggingface_hub import snapshot_download

    weights, wanted = cell.weights, ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
    return TokenOracle.from_folder(
        Path(snapshot_download(weights.repo, revision=weights.revision or None, allow_patterns=wanted))
    )


def _text(token: Any) -> str:
    text = token.get("content", "") if isinstance(token, dict) else token
    return text if isinstance(text, str) else ""


def _default(templates: Any) -> str:
    """A config may have several templates, by name."""
    if isinstance(templates, str):
        return templates
    return next((str(one.get("template", "")) for one in templates or () if one.get("name") == "default"), "")


def _tojson(value: Any, indent: int | None = None) -> str:
    """Unlike Jinja's own, it leaves letters and HTML's signs as they are."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> str:
    raise TemplateError(message)
