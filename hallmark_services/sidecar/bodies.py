"""The bodies on the wire, typed: what callers send, what they get back."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from hallmark_services.sidecar.downloads import JobState

_Text = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
AdapterName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*(/[A-Za-z0-9][A-Za-z0-9._:-]*)*$", max_length=256)
]
_Scalar = str | int | float | bool | None
_CONFIG = (
    "A JSON string, or an object, of texts: hf_token, hf_endpoint, hf_revision, access_key, secret_key, session_token, "
    "endpoint, region. What is not given is taken from the environment."
)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Fetching(_Body):
    config: str | dict[str, str] | None = Field(default=None, description=_CONFIG, repr=False)
    max_workers: int = Field(default=8, ge=1, le=64, description="Connections, or copying threads, of this download.")
    replace: bool = Field(
        default=False, description="Whether another whole model in output_dir may be replaced; the old one stays until then."
    )
    async_download: bool = Field(default=False, description="Answer at once (202) and work in the background.")

    @field_validator("config")
    @classmethod
    def _texts(cls, value: str | dict[str, str] | None) -> dict[str, str]:
        if not isinstance(value, str):
            return value or {}
        try:
            read = json.loads(value) if value.strip() else {}
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
        if not isinstance(read, dict) or not all(isinstance(item, str) for item in read.values()):
            raise ValueError("it is not an object of texts")
        return read

    @property
    def settings(self) -> dict[str, str]:
        """`config` as an object, however it came."""
        return self.config if isinstance(self.config, dict) else {}


class DownloadBody(_Fetching):
    """Have a model moved onto this machine."""

    source: _Text = Field(description="s3://bucket/path, obs://bucket/path, pvc://path, or namespace/repo on Hugging Face.")
    output_dir: _Text = Field(description="The folder that will hold the model; absolute, below a folder that is allowed.")


class LoadBody(_Fetching):
    """Have an adapter loaded: from `source` by way of `output_dir`, or from `lora_path` where it is already."""

    lora_name: AdapterName = Field(description="The name under which requests will ask for it.")
    source: _Text | None = Field(default=None, description="As for a model; needs output_dir.")
    output_dir: _Text | None = Field(default=None, description="Where the adapter is put; without a source, where it is.")
    lora_path: _Text | None = Field(default=None, description="Where the adapter is; nothing is downloaded.")
    load_inplace: bool | None = Field(default=None, description="vLLM: replace a loaded adapter of that name.")
    is_3d_lora_weight: bool | None = Field(default=None, description="vLLM: passed on.")
    base_model_name: _Text | None = Field(default=None, description="vLLM: passed on.")
    pinned: bool | None = Field(default=None, description="SGLang: keep it in memory.")

    @model_validator(mode="after")
    def _one_place(self) -> LoadBody:
        if self.source and not self.output_dir:
            raise ValueError("source needs output_dir")
        if not (self.lora_path or self.output_dir):
            raise ValueError("give source and output_dir, or lora_path")
        if self.lora_path and self.output_dir:
            raise ValueError("give either output_dir or lora_path")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The engine's own fields, where they are given."""
        return self.model_dump(include={"load_inplace", "is_3d_lora_weight", "base_model_name", "pinned"}, exclude_none=True)


class UnloadBody(BaseModel):
    """Have an adapter unloaded; other fields that the engine wants are passed on to it."""

    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)
    __pydantic_extra__: dict[str, _Scalar] = Field(init=False)

    lora_name: AdapterName


class Problem(BaseModel):
    """Every answer that is no success."""

    detail: str


class EngineHealth(BaseModel):
    status: Literal["up", "down"]
    detail: str = Field(description="Why it is down; empty when it is up.")


class Health(BaseModel):
    """`status` is the sidecar's own: it can work while the engine still loads its weights."""

    status: Literal["healthy"]
    service: Literal["runtime"]
    engine: EngineHealth


class DownloadAnswer(BaseModel):
    status: Literal["completed", "started"]
    message: str
    source: str
    output_dir: str
    job_id: str


class Adapter(BaseModel):
    status: Literal["loaded", "already_loaded", "unloaded", "already_unloaded", "started"]
    message: str
    lora_name: str
    lora_path: str = ""
    source: str = ""
    output_dir: str = ""
    job_id: str = Field(default="", description="Of a load in the background.")


class JobView(BaseModel):
    """A download, or a load in the background. Times are seconds since the epoch."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: Literal["download", "load_lora_adapter"]
    state: JobState
    source: str
    output_dir: str
    error: str | None
    waiting: str | None = None
    """Why it has not begun yet, and how long that may take."""
    bytes_done: int = 0
    bytes_total: int = 0
    rate_bytes_per_s: float = 0.0
    lora_name: str | None = None
    download_job_id: str | None = None


class JobList(BaseModel):
    jobs: list[JobView]
