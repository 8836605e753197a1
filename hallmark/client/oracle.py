"""How many tokens a prompt really has: the model's own tokenizer and chat template, read here and not asked of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from hallmark.core.errors import InfrastructureError


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
        template = folder / "chat_template.jinja"
        text = template.read_text(encoding="utf-8") if template.is_file() else config.get("chat_template", "")
        return cls(tokenizer, config, text)

    def count(self, text: str) -> int:
        """Tokens of `text` as a completion prompt, special tokens that the tokenizer adds included."""
        return len(self._tokenizer.encode(text).ids)

    def count_chat(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Tokens of `messages` rendered by the chat template with the generation prompt."""
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        special = {name: _text(self._config.get(name)) for name in ("bos_token", "eos_token", "pad_token")}
        rendered = environment.from_string(self._template).render(messages=messages, add_generation_prompt=True, **special)
        return len(self._tokenizer.encode(rendered, add_special_tokens=False).ids)

    def ordinary_ids(self) -> list[int]:
        """Token ids of printable ASCII, for random prompts: halves of characters would be answered with such."""
        special = {token.content for token in self._tokenizer.get_added_tokens_decoder().values()}
        return sorted(
            id_
            for token, id_ in self._tokenizer.get_vocab().items()
            if token not in special and token.isascii() and token.isprintable()
        )


def _text(token: Any) -> str:
    return token.get("content", "") if isinstance(token, dict) else (token or "")
