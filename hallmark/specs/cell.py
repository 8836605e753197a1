"""A Cell: one model on one device by one implementation. Self-contained and picklable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hallmark.specs.model import DeviceEntry, DeviceSpec, EvalTarget, Impl, PerfPoint, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    weights: Weights
    impl: Impl
    device: str
    device_spec: DeviceSpec
    entry: DeviceEntry
    evals: tuple[EvalTarget, ...]
    spec_file: Path
    family: str
    architecture: dict[str, str | int | float | bool]

    @property
    def id(self) -> str:
        return f"id_{self.impl.name}_{self.weights.name}_{self.device}"

    @property
    def model(self) -> str:
        return self.weights.name

    @property
    def perf(self) -> tuple[PerfPoint, ...]:
        return self.entry.perf

    @property
    def env_vars(self) -> dict[str, str]:
        """What the server's environment must hold; the device's entry wins over the implementation's."""
        return self.impl.env_vars | self.entry.env_vars

    def beside_spec(self, relative: str) -> Path:
        """A path that the spec file states, made absolute."""
        return (self.spec_file.parent / relative).resolve()

    @property
    def weights_source(self) -> str:
        """What the server is told to load: a folder, or a repository's name."""
        return str(self.beside_spec(self.weights.path)) if self.weights.path else self.weights.repo
