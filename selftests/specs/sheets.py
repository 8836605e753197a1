"""Spec files for these tests: a small whole one, and ways to spoil it."""

from __future__ import annotations

from pathlib import Path

DEVICES = """\
schema_version: 2
devices:
  cpu: { title: CPU, vendor: any, detect: { how: cpu } }
  t3k: { title: T3000, vendor: Tenstorrent, detect: { how: tenstorrent, board: n300, count: 4 } }
"""

FAMILY = """\
# A family of two weights, two implementations and two devices.
schema_version: 2
family: small
architecture: { model_type: tiny, hidden_size: 8 }
weights:
  - name: Small-1B
    repo: someone/Small-1B
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
        max_context: 512
  - name: other
    status: functional
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


def spoilt(old: str, new: str) -> str:
    """FAMILY with the first `old` replaced; what the test is about must be there."""
    assert old in FAMILY, old
    return FAMILY.replace(old, new, 1)


def line_of(text: str, marker: str = "# HERE") -> int:
    """The line, counted from 1, that carries the marker."""
    return next(number for number, line in enumerate(text.splitlines(), start=1) if marker in line)
