"""Tokens counted as the server's own libraries would: templates of every kind that models come with."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from hallmark.client.oracle import TokenOracle
from hallmark.core.errors import InfrastructureError

WEIGHTS = Path(__file__).resolve().parents[2] / "fixtures" / "hallmark_tiny"
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße <b>"}]


def oracle(folder: Path, template: Any, **config: Any) -> TokenOracle:
    """The shipped tokenizer with another chat template."""
    shutil.copy(WEIGHTS / "tokenizer.json", folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template, **config}))
    return TokenOracle.from_folder(folder)


TEMPLATES = {
    "{%- if tools is not none %}WITH TOOLS{%- endif %}{{ messages[1].content }}": "Grüße <b>",
    "{%- if documents %}WITH{%- endif %}{%- if not tools is defined %}NO{%- endif %}x": "x",
    "{%- for m in messages %}{%- if m.role == 'user' %}{{ m.content }}{%- break %}{%- endif %}{%- endfor %}": "Grüße <b>",
    "{%- if messages|length > 9 %}{{ raise_exception('too many') }}{%- endif %}ok": "ok",
    "{{ messages[1] | tojson }}": '{"role": "user", "content": "Grüße <b>"}',
    "{{ sep_token }}{{ bos_token }}": "[SEP]<s>",
    "{{ strftime_now('%Y') }}": datetime.now().astimezone().strftime("%Y"),
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_rendered_as_transformers_does(tmp_path: Path, template: str) -> None:
    found = oracle(tmp_path, template, sep_token={"content": "[SEP]"}, bos_token="<s>", add_bos_token=True)
    plain = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))
    assert found.count_chat(MESSAGES) == len(plain.encode(TEMPLATES[template], add_special_tokens=False).ids)


def test_of_several_templates_the_default_one_is_meant(tmp_path: Path) -> None:
    several = [{"name": "tool_use", "template": "a long one"}, {"name": "default", "template": "ab"}]
    assert oracle(tmp_path, several).count_chat(MESSAGES) == 2


@pytest.mark.parametrize("template", ["{% if %}", "{{ raise_exception('no system role') }}"])
def test_a_template_that_cannot_be_rendered_is_told_in_one_line(tmp_path: Path, template: str) -> None:
    with pytest.raises(InfrastructureError, match="the chat template cannot be rendered") as caught:
        oracle(tmp_path, template).count_chat(MESSAGES)
    assert len(str(caught.value).splitlines()) == 1


def test_how_its_trainer_cut_and_filled_up_is_of_no_matter(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(WEIGHTS / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=16)
    shutil.copy(WEIGHTS / "tokenizer_config.json", tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    clean, cut = TokenOracle.from_folder(WEIGHTS), TokenOracle.from_folder(tmp_path)
    for text in ("a", "The quick brown fox, 1234567890 times."):
        assert cut.count(text) == clean.count(text)
