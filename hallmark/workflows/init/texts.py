"""The files that `hallmark init` writes, as texts. Pure."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hallmark.specs.dump import as_yaml
from hallmark.specs.gaps import Gap, in_order
from hallmark.specs.model import SCHEMA_VERSION, Feature
from hallmark.workflows.init.draft import Draft
from hallmark.workflows.init.questions import METRIC, QUESTIONS_FILE, TASK_FILE, questions, questions_text, task_name, task_text

SPECS = "model_specs"
INI = "pytest.ini"
WORKFLOW = ".github/workflows/hallmark.yaml"


def spec_file(model: str) -> str:
    return f"{SPECS}/{model}.yaml"


def eval_folder(model: str) -> str:
    return f"evals/{model}"


def eval_files(model: str) -> tuple[str, str]:
    """The questions, and the task that asks them."""
    return f"{eval_folder(model)}/{QUESTIONS_FILE}", f"{eval_folder(model)}/{TASK_FILE}"


def names(model: str) -> tuple[str, ...]:
    """Every file, from the folder where it is written; the first is the spec."""
    return (spec_file(model), *eval_files(model), INI, WORKFLOW)


def texts(draft: Draft, folder: Path) -> dict[str, str]:
    """Name -> text of every file, to stand below `folder`."""
    contents = (spec_text(draft, folder), questions_text(), task_text(draft.model), ini_text(draft), workflow_text(draft))
    return dict(zip(names(draft.model), contents, strict=True))


def spec_text(draft: Draft, folder: Path) -> str:
    """The spec, to stand below `folder`."""
    head = (
        f"# {draft.model} on {draft.device}: made by hallmark init on {draft.day}.\n"
        f"# `hallmark specs lint --spec-dir {SPECS}` checks it; `model_specs/README.md` of hallmark tells every key.\n"
    )
    top: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "family": draft.model.lower()}
    if draft.replaces:
        top["replaces"] = list(draft.replaces)
    parts = [
        (head, top),
        (
            "\n# What config.json of the weights says; each run holds the served weights against it.\n",
            {"architecture": draft.architecture},
        ),
        ("\n", {"weights": [_weights(draft, folder)]}),
        *_evals(draft),
        ("\n", {"impls": [_impl(draft)]}),
    ]
    return "".join(comment + (as_yaml(data) if data else "") for comment, data in parts)


def _features(draft: Draft) -> tuple[Feature, ...]:
    """What the server can do; without a server what most can."""
    return draft.served.features if draft.served else (Feature.COMPLETIONS, Feature.CHAT)


def gaps(draft: Draft) -> tuple[Gap, ...]:
    """What a certificate needs and this spec does not state yet."""
    there = {
        Gap.ENGINE_VERSION: bool(draft.version),
        Gap.EVAL_TARGETS: draft.score is not None,
        Gap.PERF_TARGETS: bool(draft.points),
        Gap.COMPLETIONS_API: Feature.COMPLETIONS in _features(draft),
    }
    return in_order([gap for gap, stated in there.items() if not stated])


def _weights(draft: Draft, folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = {"name": draft.model}
    if draft.served and draft.served.model != draft.model:
        said["served_as"] = draft.served.model
    path, specs = draft.weights.path, folder.absolute() / SPECS
    if path:
        inside = path.resolve().is_relative_to(folder.resolve())
        said["path"] = os.path.relpath(path, specs) if inside else str(path)
        if not path.resolve().is_relative_to(specs.resolve()):
            said["outside_folder"] = True
    else:
        said["repo"] = draft.weights.repo
    if draft.served and (revision := draft.served.engine_args.get("revision")):
        said["revision"] = str(revision)
    if draft.score is None:
        said["missing"] = [Gap.EVAL_TARGETS.value]
    return said


def _target(draft: Draft) -> dict[str, Any]:
    """The eval target, but for its score."""
    return {
        "name": "questions",
        "task": task_name(draft.model),
        "task_dir": f"../{eval_folder(draft.model)}",
        "metrics": [METRIC],
        "n": len(questions()),
    }


def _evals(draft: Draft) -> list[tuple[str, dict[str, Any]]]:
    where = f"{eval_folder(draft.model)}/{QUESTIONS_FILE}"
    if draft.score:
        comment = (
            f"\n# A first target on {where}, measured once: put in your own questions, and the score that you require\n"
            "# (`tolerance` is what so few questions can tell).\n"
        )
        scored = {"reference": draft.score.reference, "tolerance": draft.score.tolerance, "source": draft.source}
        return [(comment, {"evals": {draft.model: [_target(draft) | scored]}})]
    open_yet = as_yaml({"evals": {draft.model: [_target(draft)]}})
    commented = "".join(f"# {line}\n" for line in open_yet.splitlines())
    lines = (
        "#       reference: ... # the score to be reached, between 0 and 1\n"
        "#       tolerance: ...\n"
        "#       source: ... # where it comes from\n"
    )
    comment = f"\n# No score is known. Take `missing` out above and state one here, on {where} or on questions of your own:\n"
    return [(f"{comment}{commented}{lines}", {})]


def _impl(draft: Draft) -> dict[str, Any]:
    lacking = [gap.value for gap in gaps(draft) if gap is not Gap.EVAL_TARGETS]
    said: dict[str, Any] = {"name": draft.impl, "status": "complete"}
    if lacking:
        said["missing"] = lacking
    if draft.version:
        said["engine"] = {"version": draft.version}
    if draft.python_deps:
        said["python_deps"] = dict(draft.python_deps)
    said["features"] = [feature.value for feature in _features(draft)]
    arguments = dict(draft.served.engine_args) if draft.served else {}
    arguments.pop("revision", None)
    entry: dict[str, Any] = {"default": True, "engine_args": arguments, "max_context": draft.max_context}
    if draft.points:
        entry["perf"] = [point.model_dump(mode="json", exclude_defaults=True) for point in draft.points]
    said["devices"] = {draft.device: entry}
    return said


def ini_text(draft: Draft) -> str:
    """pytest.ini: which cell a bare `pytest` certifies, and how its server is reached."""
    lines = ["[pytest]", f"hallmark_spec_dir = {SPECS}", f"hallmark_model = {draft.model}", f"hallmark_device = {draft.device}"]
    if draft.served:
        lines += [
            "# The server that runs; without this line hallmark starts one as the spec says.",
            f"hallmark_server_url = {draft.served.url}",
        ]
        if draft.served.python:
            lines += [
                "# Its interpreter: whether what runs is what the spec says is seen through it.",
                f"hallmark_server_python = {draft.served.python}",
            ]
        else:
            lines += ["# Without the server's interpreter one that runs already is never accepted whole:"]
            lines += ["# hallmark_server_python = /path/to/its/bin/python"]
    return "\n".join(lines) + "\n"


def workflow_text(draft: Draft) -> str:
    """The CI workflow, in GitHub's words."""
    attached = f"HALLMARK_SERVER_URL: {draft.served.url}" if draft.served else "HALLMARK_SERVER_URL: http://the-server:8000"
    return f"""\
# Certify {draft.model} on {draft.device}: made by hallmark init.
name: hallmark
on:
  workflow_dispatch:
  push:
    branches: [main]
jobs:
  release:
    runs-on: self-hosted # a runner that has the device, or that reaches the server
    timeout-minutes: 120
    # env: # over pytest.ini, where this runner reaches the server otherwise
    #   {attached}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: python -m pip install pytest-hallmark
      - run: hallmark specs lint --spec-dir {SPECS}
      - run: hallmark run --workflow release
      - uses: actions/upload-artifact@v4
        if: always()
        with:
          name: hallmark
          path: artifacts/
"""
