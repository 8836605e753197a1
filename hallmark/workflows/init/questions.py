"""A small data set of questions whose answers are plain, and the lm-eval task that asks them: a start, to be replaced."""

from __future__ import annotations

import json
import re

QUESTIONS_FILE = "questions.jsonl"
TASK_FILE = "questions.yaml"

_SUMS = ((12, 7), (25, 14), (31, 28), (46, 9), (53, 35), (8, 64), (19, 72), (70, 21), (33, 33), (41, 56), (27, 5), (62, 17))
_FACTS = (
    ("How many days does a week have?", "7"),
    ("How many legs does a spider have?", "8"),
    ("How many minutes does an hour have?", "60"),
    ("How many sides does a triangle have?", "3"),
    ("In which city does the Eiffel Tower stand?", "Paris"),
    ("What is the capital of Italy?", "Rome"),
    ("What is the capital of Japan?", "Tokyo"),
    ("Which planet do we live on?", "Earth"),
    ("Which day comes after Monday?", "Tuesday"),
    ("Which month comes after March?", "April"),
    ("What is the opposite of hot?", "cold"),
    ("What is the opposite of up?", "down"),
)
_SHAPE = "Question: {}\nAnswer in one word or number:"


def questions() -> list[dict[str, str]]:
    """Rows of `prompt`, as it is sent, and `answer`, one word or number."""
    sums = [{"prompt": f"{a}+{b}=", "answer": str(a + b)} for a, b in _SUMS]
    return [*sums, *({"prompt": _SHAPE.format(question), "answer": answer} for question, answer in _FACTS)]


def questions_text() -> str:
    return "".join(json.dumps(row) + "\n" for row in questions())


def task_name(model: str) -> str:
    return f"{re.sub(r'[^A-Za-z0-9]+', '_', model).strip('_').lower()}_questions"


def task_text(model: str) -> str:
    """The task's YAML. What a model says after its first word or number is not looked at."""
    return f"""\
# An lm-eval task. The `prompt` of each line of {QUESTIONS_FILE} is sent; the first word or number of what comes back must
# be its `answer`.
# These {len(questions())} questions are only a start. Put your own into {QUESTIONS_FILE}, a JSON object a line with the same
# two keys (some hundred tell good from bad; `hallmark specs lint` says what a sample can resolve), then correct `n`,
# `reference`, `tolerance` and `source` in the spec. A task that ships with lm-eval will do as well: name it there, without
# `task_dir`.
task: {task_name(model)}
dataset_path: json
dataset_kwargs:
  data_files: {{ test: {QUESTIONS_FILE} }}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
target_delimiter: ""
generation_kwargs: {{ until: ["\\n\\n"], max_gen_toks: 16, do_sample: false }}
filter_list:
  - name: first-word
    filter:
      - {{ function: regex, regex_pattern: "([A-Za-z0-9]+)", group_select: 0, fallback: "" }}
      - {{ function: take_first }}
metric_list:
  - {{ metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true }}
num_fewshot: 0
metadata: {{ version: 1 }}
"""


METRIC = "exact_match,first-word"
