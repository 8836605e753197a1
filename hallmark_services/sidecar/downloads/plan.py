"""What the service tells the process that carries out one download; it crosses a pipe as JSON, never argv or environment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hallmark_services.sidecar.downloads.source import Kind


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """An admitted request: every choice is made, every credential is one that may go to this endpoint."""

    kind: Kind
    source: str
    """For people and for the marker: the source in its one form."""
    place: str
    path: str
    revision: str
    target: str
    """Resolved: no symlink is left in what exists of it."""
    root: str
    workers: int
    endpoint: str = ""
    """"" means the store's own public one."""
    trusted_host: str = ""
    """Host of an endpoint that the operator named; it alone may live at a private address."""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    replace: bool = False
    """Whether the target may hold another whole model, which the new one then replaces."""
    ambient: bool = False
    """Whether roles of this machine may sign."""
    region: str = ""
    addressing_style: str = "auto"
    allowed_networks: tuple[str, ...] = ()
    source_roots: tuple[str, ...] = ()
    max_bytes: int = 1 << 42
    max_files: int = 100_000
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0

    @property
    def identity(self) -> tuple[str, ...]:
        """Two requests with one identity for one target are one download, whoever asks."""
        return (self.source, self.endpoint, self.revision)

    def secrets(self) -> list[str]:
        return [value for value in (self.access_key, self.secret_key, self.session_token, self.token) if value]

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> DownloadPlan:
        lists = {name: tuple(plain[name]) for name in ("allowed_networks", "source_roots")}
        return cls(**{**plain, **lists})
