"""What a caller may ask for, and the one way in which it is turned down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
