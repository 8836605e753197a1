"""A Cell: one model on one device by one implementation. Self-contained and picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.waivers import WaiverLimits
from hallmark.specs.gaps import in_order
from hallmark.specs.model import (
    Architecture,
    ContainerOptions,
    DeviceConfig,
    DeviceEntry,
    DeviceSpec,
    EvalTarget,
    Gap,
    Impl,
    LoraAdapter,
    PerfPoint,
    Weights,
)
from hallmark.specs.policy import shipped_limits, shipped_valid_days
from hallmark.specs.targets import joined


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceOf:
    """Something of another spec file that a cell stands in the place of."""

    what: str
    """Such as `family qwen3-8b`, or `cell id_...`."""
    spec_file: Path
    family: str

    def __str__(self) -> str:
        return f"the {self.what} of {self.spec_file}"


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
    architecture: Architecture
    base_targets: tuple[PerfPoint, ...] = ()
    """The performance targets of the architecture on the device; `entry` may add points of its own."""
    in_place_of: InPlaceOf | None = None
    """What it replaces, where its spec says so."""
    left: tuple[str, ...] = ()
    """What its document says and no spec has a place for."""
    configuration: str = ""
    """The runtime configuration that it serves in, such as `tp4-32768-32`; empty where the spec leaves that open."""
    alternative: bool = False
    """Whether that is one besides the device's own; then it is part of the id."""
    waiver_limits: WaiverLimits = field(default_factory=shipped_limits)
    """What the policy of its catalogue allows of its waivers."""
    valid_days: int = field(default_factory=shipped_valid_days)
    """For how many days a run of it counts, by that policy."""

    @property
    def id(self) -> str:
        own = f"id_{self.impl.name}_{self.weights.name}_{self.device}"
        return f"{own}_{self.configuration}" if self.alternative else own

    @property
    def model(self) -> str:
        return self.weights.name

    @property
    def served_model(self) -> str:
        """The name by which clients ask for the model."""
        return self.weights.served_as or self.model

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever reads a result of it must know of its spec."""
        replaced = [f"{self.spec_file} stands in the place of {self.in_place_of}"] if self.in_place_of else []
        left = [f"{self.spec_file} also says what nothing is held to: {', '.join(self.left)}"] if self.left else []
        return (*replaced, *left)

    @property
    def perf(self) -> tuple[PerfPoint, ...]:
        """Every point to measure: those of the architecture with what the implementation adds, then its own."""
        return joined(self.base_targets, self.entry.perf)

    @property
    def device_config(self) -> DeviceConfig | None:
        """What the server needs at the tensor-parallel size that the spec asks for."""
        return self.entry.device_config

    @property
    def env_vars(self) -> dict[str, str]:
        """What the server's environment must hold; the nearer wins: implementation < tensor-parallel size < device."""
        of_size = self.device_config.env_vars if self.device_config else {}
        return self.impl.env_vars | of_size | self.entry.env_vars

    @property
    def container(self) -> ContainerOptions:
        """What a container of this cell is given: the device's options and the implementation's."""
        return self.impl.container.over(self.device_spec.container)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """What the spec says that it lacks for a certificate (`obstacles.gaps_of`: what it does lack)."""
        return in_order({*self.weights.missing, *self.impl.missing, *self.entry.missing})

    @property
    def lora(self) -> tuple[LoraAdapter, ...]:
        return self.weights.lora

    def beside_spec(self, relative: str) -> Path:
        """A path that the spec file states, made absolute."""
        return (self.spec_file.parent / relative).resolve()

    @property
    def weights_source(self) -> str:
        """What the server is told to load: a folder, or a repository's name."""
        return str(self.beside_spec(self.weights.path)) if self.weights.path else self.weights.repo
