"""Every cell of the published catalogue has a plan in which nothing is doubtful, displaced or unsupported."""

from __future__ import annotations

from pathlib import Path

import pytest

from hallmark.core.errors import UsageError
from hallmark.serving.plan import LaunchSettings, make_plan
from hallmark.specs.catalogue import load_catalogue

CELLS = load_catalogue([Path(__file__).parents[2] / "model_specs"]).cells


def test_each_cell_can_be_planned_strictly() -> None:
    strict = LaunchSettings(port=8000, strict_config=True)
    for cell in CELLS:
        plan = make_plan(cell, strict, python=Path("/opt/bin/python"), environ={}, folder=Path("/run"), installed=lambda _: {})
        assert plan.warnings == (), cell.id
        assert plan.env.items() >= cell.env_vars.items()


def test_some_of_them_state_what_is_supported_and_are_held_to_it() -> None:
    stated = [cell for cell in CELLS if cell.entry.runtime_configs and cell.entry.runtime_configs.continuous]
    assert stated
    for cell in stated:
        odd = LaunchSettings(port=8000, strict_config=True, engine_args={"max_num_seqs": "12345"})
        with pytest.raises(UsageError, match="--strict-config"):
            make_plan(cell, odd, python=Path("/opt/bin/python"), environ={}, folder=Path("/run"), installed=lambda _: {})
