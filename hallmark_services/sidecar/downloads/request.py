"""What a caller may ask for, and the one way in which it is turned down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SECRET_KEYS = ("hf_token", "access_key", "secret_key", "session_token")


class Refused(Exception):
    """A request that is not served: one line for the caller, and the HTTP status that fits it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class DownloadRequest:
    """One model to be moved onto this machine."""

    source: str
    """`s3://bucket/path`, `obs://bucket/path`, `pvc://path`, or `namespace/repo` (also as `hf://namespace/repo`)."""
    output_dir: str
    """The folder that will hold the model: absolute, and below one of the settings' roots."""
    config: Mapping[str, str] = field(default_factory=dict)
    """The caller's own hf_token, hf_endpoint, hf_revision, access_key, secret_key, session_token, endpoint, region, ..."""
    max_workers: int = 8
    """Connections (or copying threads) that this download may use at once."""
    replace: bool = False
    """Whether another whole model may be replaced, where the folder holds one."""
    asked_by: str = ""
    """The caller's address, for the log."""

    def secrets(self) -> list[str]:
        """What the caller sent that must not be shown."""
        return [value for key in _SECRET_KEYS if isinstance(value := self.config.get(key, ""), str) and value]
