"""The device catalogue: what a device is called, how it is found, and what a container needs to reach it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hallmark.specs.strict import Contradiction, DetectionName, Name, Positive, Strict, Variable

RESERVED = frozenset(
    {
        *("spec", "server", "evals", "perf", "check", "extra", "release"),
        *("and", "or", "not", "True", "False", "None"),
        *("skip", "skipif", "xfail", "parametrize", "usefixtures", "filterwarnings", "tryfirst", "trylast", "no_cover"),
        *("e2e", "browser", "docker", "xdist_group", "benchmark", "asyncio", "anyio", "timeout", "flaky"),
    }
)
"""Names that `-m` understands otherwise: `-m perf` must not mean a device."""

Bind = Annotated[str, Field(pattern=r"^/[^:]*:/[^:]*(:(ro|rw))?$", description="/on/the/host:/in/the/container[:ro]")]
DevicePath = Annotated[str, Field(pattern=r"^/dev/[^:]+(:/dev/[^:]+)?(:[rwm]+)?$")]


class ContainerOptions(Strict):
    """What a container is given besides its command; an implementation's options are added to its device's."""

    devices: tuple[DevicePath, ...] = Field(default=())
    """Device nodes, such as /dev/tenstorrent."""
    binds: tuple[Bind, ...] = Field(default=())
    """Folders of the host, such as /dev/hugepages-1G:/dev/hugepages-1G."""
    gpus: str = Field(default="", pattern=r"^(all|[1-9][0-9]*)?$")
    """How many GPUs the NVIDIA runtime hands in: `all` or a number; empty for none."""
    runtime: str = ""
    """The container runtime, where it is not Docker's own (`habana`)."""
    ipc: Literal["", "host"] = ""
    """`host` to share the host's memory segments."""
    shm_gib: Positive | None = None
    """Size of /dev/shm; empty for Docker's default."""
    memory_gib: Positive | None = None
    """The limit beyond which the container is killed; absent for none."""
    groups: tuple[str, ...] = Field(default=())
    """Further groups of the process, by name or number."""
    capabilities: tuple[str, ...] = Field(default=())
    """Linux capabilities to add."""
    security: tuple[str, ...] = Field(default=())
    """Security options, such as seccomp=unconfined."""
    env_vars: dict[Variable, str] = Field(default_factory=dict)
    """Variables that only the container's runtime needs, such as HABANA_VISIBLE_DEVICES."""

    def over(self, base: ContainerOptions) -> ContainerOptions:
        """These options added to `base`: lists are joined, single values win where they are given."""
        merged: dict[str, object] = {}
        for name in type(self).model_fields:
            own, there = getattr(self, name), getattr(base, name)
            if isinstance(own, tuple):
                merged[name] = tuple(dict.fromkeys((*there, *own)))
            elif isinstance(own, dict):
                merged[name] = there | own
            else:
                merged[name] = own or there
        return ContainerOptions.model_validate(merged)


class Detection(Strict):
    """How the presence of a device is found out."""

    how: DetectionName
    """The vendor whose tools and drivers are asked, or the CPU."""
    board: str = ""
    """The board type as the vendor's tool names it, lower case."""
    count: Positive = 1
    """How many chips or boards of it make the device."""

    @property
    def unit(self) -> str:
        """What it is counted in: devices of one unit are made of the same boards of a machine."""
        return self.board or self.how


class DeviceSpec(Strict):
    """One device of the catalogue; its name is its pytest marker."""

    title: str
    """What it is, for people."""
    vendor: str
    """Who makes it."""
    detect: Detection
    """How it is found in a machine."""
    container: ContainerOptions = Field(default_factory=ContainerOptions)
    """What a container needs to reach it."""
    source: str = ""
    """Where the board's name and number come from, for devices that nobody here has seen."""


class DeviceCatalogue(Strict):
    """`model_specs/devices.yaml`."""

    schema_version: Literal[2]
    """What this file is written in."""
    devices: dict[Name, DeviceSpec]
    """Each device by the name that `--device`, `-m` and specs use."""

    @model_validator(mode="after")
    def _names_are_free(self) -> DeviceCatalogue:
        for name in self.devices:
            if name in RESERVED:
                raise Contradiction(f"'{name}' means something else after -m; give the device another name", "devices", name)
        return self
