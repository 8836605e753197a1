"""Spec files for these tests: a small whole one, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

from hallmark.specs.inherit import resolved
from hallmark.specs.loader import family_of
from hallmark.specs.migrations import migrated
from hallmark.specs.model import FamilySpec
from hallmark.specs.yaml_source import read

DEVICES = """\
schema_version: 2
devices:
  cpu: { title: CPU, vendor: any, detect: { how: cpu } }
  t3k: { title: T3000, vendor: Tenstorrent, detect: { how: tenstorrent, board: n300, count: 4 } }
"""

FAMILY = """\
# A family of two weights, two implementations and two devices. Small-1B-Instruct on cpu by plain is whole, the others are drafts.
schema_version: 2
family: small
architecture: { model_type: tiny, hidden_size: 8 }
weights:
  - name: Small-1B
    repo: someone/Small-1B
    missing: [eval_targets]
  - { name: Small-1B-Instruct, outside_folder: true, path: ../weights }
evals:
  Small-1B-Instruct:
    - name: sums
      task: sums
      metrics: ["exact_match,none"]
      reference: 0.8
      tolerance: 0.03
      source: measured
impls:
  - name: plain
    status: complete
    engine: { version: ">=1.0,<2" }
    python_deps: { vllm: "==1.0" }
    env_vars: { A: "1" }
    tier_factors: { functional: 0.1, complete: 0.5, target: 1.0 }
    devices:
      cpu:
        default: true
        engine_args: { max_num_seqs: 8 }
        max_context: 512
        perf:
          - isl: 64
            osl: 32
            concurrency: 2
            requests: 8
            targets: { tokens_per_s: 10, tokens_per_s_per_user: 5 }
            source: measured
      t3k:
        missing: [perf_targets]
        max_context: 512
  - name: other
    status: functional
    missing: [engine_version, perf_targets]
    devices:
      cpu: { max_context: 256 }
"""


def family_file(folder: Path, text: str | bytes = FAMILY, name: str = "small.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def spec_folder(folder: Path, text: str | bytes = FAMILY, *, devices: str = DEVICES) -> Path:
    """A folder of specs that `load_catalogue` reads."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "devices.yaml").write_text(devices)
    family_file(folder, text)
    return folder


def weights_folder(folder: Path) -> Path:
    """The folder that FAMILY names, beside a folder of specs, with as much of a model in it as a spec can be held against."""
    weights = folder.parent / "weights"
    weights.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        (weights / name).touch()
    return weights


def spoilt(old: str, new: str) -> str:
    """FAMILY with the first `old` replaced; what the test is about must be there."""
    assert old in FAMILY, old
    return FAMILY.replace(old, new, 1)


def line_of(text: str, marker: str = "# HERE") -> int:
    """The line, counted from 1, that carries the marker."""
    return next(number for number, line in enumerate(text.splitlines(), start=1) if marker in line)


def load_family(path: Path) -> FamilySpec:
    """The family of one file that extends no other; SpecError where it is wrong."""
    return family_of(resolved([migrated(read(path))])[0])
