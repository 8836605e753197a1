"""What holds for one implementation on one device: arguments, limits of time, points, known limits and waivers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from hallmark.core.waivers import Waiver
from hallmark.specs.batching import ContinuousConfig, DeviceConfig, RuntimeConfig, RuntimeConfigs
from hallmark.specs.gaps import Gaps
from hallmark.specs.strict import (
    Commit,
    Contradiction,
    EngineArguments,
    Name,
    Positive,
    Refused,
    Scalar,
    Specifier,
    Strict,
    SystemName,
    Text,
    Variable,
    second,
)
from hallmark.specs.targets import PerfPoint, Status, require_agreement

IMAGE = r"^([A-Za-z0-9]\S*)?$"


class KnownLimit(Strict):
    """Something that is known not to work; it is told in reports and excuses nothing."""

    text: Text
    """What does not work, in a sentence."""
    source: Text
    """Where that is known from."""


def _day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError:
        raise Refused(f"{text} is no day", 'write a day of the calendar, in quotes: "2026-03-31"') from None
    return text


def _issue(text: str) -> str:
    if not _ISSUE.fullmatch(text):
        raise Refused(f"'{text}' names no issue", "write its address (https://...), or its key (KEY-123)")
    return text


_ISSUE = re.compile(r"https?://[^\s/]+/\S+|[A-Z][A-Z0-9_]*-[1-9][0-9]*")
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$"), AfterValidator(_day)]
Issue = Annotated[str, Field(max_length=400), AfterValidator(_issue)]


class WaivedCheck(Strict):
    """A check whose miss does not stop the release on this device for some days, because somebody answers for it.

    It runs all the same. What may be waived, and for how long, says the `policy.yaml` of the folder.
    """

    check: Text
    """Its id, as the manifest and the report name it."""
    owner: Text
    """Who answers for it."""
    reason: Text
    """Why it may be missed."""
    issue: Issue
    """Where it is being mended: the address of an issue, or its key (`KEY-123`)."""
    made_on: Day
    """The first day on which it holds, in UTC."""
    ends_on: Day
    """The last day on which it holds, in UTC."""

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> WaivedCheck:
        if self.ends_on < self.made_on:
            raise Contradiction(f"ends before it is made ({self.made_on})", "ends_on")
        return self

    @property
    def waiver(self) -> Waiver:
        """As a manifest holds it, beside its check."""
        return Waiver(**self.model_dump(exclude={"check"}))


class DeviceEntry(Strict):
    """What holds for one implementation on one device."""

    default: bool = False
    """Whether this implementation is taken for the device when `--impl` is not given: exactly one of several."""
    engine_args: EngineArguments = Field(default_factory=dict)
    """Arguments of the engine, as its command line names them; `true` is the flag `--x`, `false` is `--no-x`."""
    env_vars: dict[Variable, str] = Field(default_factory=dict)
    """Variables that the server's environment must hold on this device, over those of the implementation."""
    max_context: Positive
    """Tokens; what `/v1/models` must state as max_model_len, where it states that, and what a request may fill."""
    startup_timeout_s: Positive = 1800
    """Seconds after which a server that does not answer yet is given up."""
    stall_timeout_s: Positive | None = None
    """A start-up that neither logs nor fills a cache for so long is given up; absent to wait until the other time is over."""
    perf: tuple[PerfPoint, ...] = Field(default=())
    """Points of this implementation, besides the family's `base_targets` for the device."""
    runtime_configs: RuntimeConfigs | None = None
    """The runtime configurations that are supported; absent where the engine takes any."""
    device_configs: dict[Positive, DeviceConfig] = Field(default_factory=dict)
    """What is needed at each tensor-parallel size."""
    known_limits: tuple[KnownLimit, ...] = Field(default=())
    """What is known not to work here."""
    waivers: tuple[WaivedCheck, ...] = Field(default=())
    """Checks that may be missed here until a day."""
    missing: Gaps = Field(default=())
    """What a certificate needs and is lacking on this device, besides what the implementation and the weights lack."""
    status: Status | None = None
    """What is claimed on this device, where it is not what the implementation claims elsewhere."""
    image: str = Field(default="", pattern=IMAGE)
    """The image for this device, where it is not the implementation's."""
    commits: dict[Name, Commit] = Field(default_factory=dict)
    """Besides the implementation's, and over them."""
    system_deps: dict[SystemName, Specifier] = Field(default_factory=dict)
    """Besides the implementation's, and over them."""

    @property
    def tp_size(self) -> int:
        """The tensor-parallel size that the engine arguments ask for."""
        return int(self._argument("tensor_parallel_size") or 1)

    @property
    def device_config(self) -> DeviceConfig | None:
        """What is needed at the entry's own tensor-parallel size."""
        return self.device_configs.get(self.tp_size)

    def serving(self, engine_args: dict[str, Scalar]) -> DeviceEntry:
        """This entry with what the weights want of the engine (a parser of tool calls, say); its own arguments win."""
        return self.model_copy(update={"engine_args": {**engine_args, **self.engine_args}}) if engine_args else self

    @property
    def own_config(self) -> RuntimeConfig | None:
        """The supported runtime configuration that the entry itself asks for; None where it leaves that open."""
        if self.runtime_configs is None:
            return None
        static = [config for config in self.runtime_configs.static if config.tp_size == self.tp_size]
        if any(config.tp_size == self.tp_size for config in self.runtime_configs.continuous):
            sizes = {name: self._argument(name) for name in ("max_model_len", "max_num_seqs")}
            stated = {name: str(value) for name, value in sizes.items() if value is not None}
            return self.runtime_configs.continuous_of(self.tp_size, stated, context=self.max_context)
        return static[0] if len(static) == 1 else None

    @property
    def own_points(self) -> tuple[tuple[tuple[PerfPoint, ...], tuple[str | int, ...]], ...]:
        """The points of the entry's own configuration, and where they are stated: for the device, and for the configuration."""
        own, supported = self.own_config, self.runtime_configs
        if own is None or supported is None or not own.perf:
            return ((self.perf, ("perf",)),)
        kind: Sequence[RuntimeConfig] = supported.continuous if isinstance(own, ContinuousConfig) else supported.static
        field = "continuous" if isinstance(own, ContinuousConfig) else "static"
        place = [config.key for config in kind].index(own.key)
        return ((self.perf, ("perf",)), (own.perf, ("runtime_configs", field, place, "perf")))

    def _argument(self, name: str) -> Scalar | None:
        spelt = {key.replace("-", "_"): value for key, value in self.engine_args.items()}
        return spelt.get(name)

    @model_validator(mode="after")
    def _distinct(self) -> DeviceEntry:
        if (place := second(waiver.check for waiver in self.waivers)) is not None:
            raise Contradiction("a check is waived twice", "waivers", place)
        if (place := second(point.name for point in self.perf)) is not None:
            raise Contradiction("two perf points have the same traffic", "perf", place)
        return self

    @model_validator(mode="after")
    def _serves_what_is_supported(self) -> DeviceEntry:
        asked = self._argument("tensor_parallel_size")
        if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or asked < 1):
            raise Contradiction(f"tensor_parallel_size must be a whole number from 1 up, not {asked!r}", "engine_args")
        supported = self.runtime_configs
        if supported is None or not (sizes := supported.tp_sizes):
            return self
        if self.tp_size not in sizes:
            shown = ", ".join(map(str, sizes))
            raise Contradiction(f"tensor_parallel_size {self.tp_size} is not one that is supported ({shown})", "engine_args")
        return self

    @model_validator(mode="after")
    def _points_agree(self) -> DeviceEntry:
        for points, at in self.own_points[1:]:
            require_agreement(self.perf, points, *at, named="points of the device")
        return self
