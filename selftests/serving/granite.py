"""A granite on four Spyre cards, as a spec states it, and the plan to serve it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from hallmark.serving.plan import Installed, LaunchSettings, make_plan
from hallmark.serving.server import LaunchPlan
from hallmark.specs.catalogue import load_catalogue
from hallmark.specs.cell import Cell
from selftests.specs.sheets import spec_folder

DEVICES = """\
schema_version: 2
devices:
  cpu: { title: CPU, vendor: any, detect: { how: cpu } }
  spyre: { title: Spyre, vendor: IBM, detect: { how: spyre, board: spyre, count: 4 } }
"""
GRANITE = {
    "tensor_parallel_size": 4,
    "max_model_len": 32768,
    "max_num_seqs": 32,
}
DEVICE_CONFIG = {
    "env_vars": {"VLLM_DT_MAX_BATCH_TKV_LIMIT": "131072", "FLEX_HDMA_P2PSIZE": "268435456"},
    "num_gpu_blocks_override": {"torch_sendnn_lt_1_0_3": 2080, "default": 8192},
    "chunked_prefill": {"max_num_batched_tokens": 1024},
}
CONTINUOUS = {"continuous": [{"tp_size": 4, "max_model_len": 32768, "max_num_seqs": 32}]}


def cell(
    folder: Path,
    *,
    device: str = "spyre",
    impl: dict[str, Any] | None = None,
    architecture: dict[str, Any] | None = None,
    **entry: Any,
) -> Cell:
    """A granite on four Spyre cards, its spec in `folder`/specs; `entry` changes the device's entry."""
    stated = {"max_context": 32768, "engine_args": GRANITE, "runtime_configs": CONTINUOUS, "device_configs": {4: DEVICE_CONFIG}}
    data = {
        "schema_version": 2,
        "family": "granite",
        "architecture": architecture or {"model_type": "granite", "num_hidden_layers": 40},
        "weights": [{"name": "granite-8b", "repo": "ibm-granite/granite-8b"}],
        "impls": [{"name": "spyre", "status": "functional", **(impl or {}), "devices": {device: {**stated, **entry}}}],
    }
    text = yaml.safe_dump({**data}, sort_keys=False)
    (only,) = load_catalogue([spec_folder(folder / "specs", text, devices=DEVICES)]).cells
    return only


def configured(
    of: Cell,
    *,
    environ: dict[str, str] | None = None,
    installed: dict[str, str] | Installed | None = None,
    **settings: Any,
) -> LaunchPlan:
    """The plan to serve `of`; `installed` are the versions in the server's environment (None: unknown), or what finds them."""
    known: Installed = installed if callable(installed) else lambda _: installed
    chosen = LaunchSettings(**settings)
    return make_plan(of, chosen, python=Path("/opt/python"), environ=environ or {}, folder=Path(), installed=known)


def said(plan: LaunchPlan, name: str) -> tuple[str, str]:
    (found,) = [v for v in (*plan.values, *plan.set_vars) if v.name == name]
    return found.value, found.origin
