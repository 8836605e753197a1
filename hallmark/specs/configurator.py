"""The configurator of any cell: its configuration applied inside of vLLM's own process."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from hallmark.core.errors import UsageError
from hallmark.core.precedence import Layer, PlanValue, Settled, grave_warnings, settle, shown
from hallmark.specs.batching import DeviceConfig
from hallmark.specs.cell import Cell
from hallmark.specs.device_settings import distributions, of_device, of_runtime, own_variables, unsupported
from hallmark.specs.vllm_config import EngineConfig

_log = logging.getLogger(__name__)
_BLOCKS, _CHUNKED, _TOKENS = "num_gpu_blocks_override", "enable_chunked_prefill", "max_num_batched_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What `configure` came to: each value with its origin, and one line for each that is not the spec's."""

    model: str
    tp_size: int
    variables: tuple[PlanValue, ...]
    engine_args: tuple[PlanValue, ...]
    warnings: tuple[str, ...]


def _installed(names: Collection[str]) -> dict[str, str]:
    """The versions of those distributions that this interpreter has; read from their metadata, nothing is imported."""
    found: dict[str, str] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class DefaultConfigurator:
    """Handles every model; what `get_model_registry().get_configurator(name)` gives."""

    cell: Cell
    environ: MutableMapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    """Of the process that is configured."""
    installed: Callable[[Collection[str]], Mapping[str, str]] = _installed
    """Names of distributions -> the versions of those that are there."""

    def get_device_config(self, tp_size: int) -> DeviceConfig | None:
        """What the cell needs at a tensor-parallel size; None where the spec states nothing for it."""
        return self.cell.entry.device_configs.get(tp_size)

    def set_env_var(self, key: str, value: str, override: bool = False) -> bool:
        """Set a variable of this process, and log it; one that is there with another value is kept, but for `override`.

        Returns whether it has `value` now.
        """
        there = self.environ.get(key)
        if there == value:
            return True
        if there is not None and not override:
            _log.warning("%s=%s is set already and kept; not set to %s", key, shown(key, there), shown(key, value))
            return False
        instead = f" (instead of {shown(key, there)})" if there is not None else ""
        self.environ[key] = value
        _log.info("%s=%s%s for %s", key, shown(key, value), instead, self.cell.model)
        return True

    def configure(self, vllm_config: object, *, stated: Collection[str] = (), strict: bool = False) -> Applied:
        """Apply what the spec says of this machine to vLLM's own config object, in vLLM's own process.

        The device configuration of its tensor-parallel size: variables, blocks by the versions that are installed, chunked
        prefill. What a person has said already is kept and warned of: a variable that is set, a number of blocks, and the
        engine arguments in `stated` (the config itself cannot tell these from defaults). All of it is computed before
        anything is applied; UsageError, and nothing applied, for an object that is not vLLM's config, for a value that
        vLLM would refuse, and under `strict` for each warning.
        """
        engine = EngineConfig(vllm_config)
        own = own_variables(self.cell, engine.tp_size)
        runtime = of_runtime(self.cell, engine.tp_size, engine.stated, {**own, **self.environ})
        config = self.get_device_config(engine.tp_size)
        of_config = of_device(config, self.installed(distributions(config)))
        wanted = {**runtime.env_vars, **own}
        there = {name: self.environ[name] for name in wanted if name in self.environ}
        variables = settle([Layer("spec", wanted), Layer("environment", there)])
        arguments, left_out = self._arguments(engine, of_config.engine_args, stated)
        doubts = [*of_config.doubts, *runtime.doubts, *left_out]
        if not runtime.static:
            doubts += filter(None, [unsupported(self.cell, engine.tp_size, engine.stated)])
        warnings = grave_warnings((variables, arguments), doubts, strict="strict" if strict else "")
        self._apply(engine, arguments, variables)
        for line in warnings:
            _log.warning("%s: %s", self.cell.model, line)
        return Applied(
            model=self.cell.model,
            tp_size=engine.tp_size,
            variables=variables.values,
            engine_args=arguments.values,
            warnings=warnings,
        )

    def _arguments(
        self, engine: EngineConfig, wanted: Mapping[str, str], stated: Collection[str]
    ) -> tuple[Settled, tuple[str, ...]]:
        """The engine arguments as they will hold, and one line for what is left out."""
        left_out: tuple[str, ...] = ()
        if _CHUNKED in wanted and engine.value(_CHUNKED) is False:
            # Switched off by a person, or by vLLM for a model that cannot do it.
            left_out = (f"{_CHUNKED} is off in vLLM's config: {_TOKENS} {wanted[_TOKENS]} of the spec was left out",)
            wanted = {name: value for name, value in wanted.items() if name not in (_CHUNKED, _TOKENS)}
        there = {name: engine.value(name) for name in wanted}
        texts = {name: _text(value) for name, value in there.items() if value is not None}
        # A number of blocks has no default: somebody said it.
        by_person = {name: text for name, text in texts.items() if name in stated or name == _BLOCKS}
        by_engine = {name: text for name, text in texts.items() if name not in by_person}
        layers = [Layer("default", by_engine), Layer("spec", wanted), Layer("command line", by_person)]
        return settle(layers), left_out

    def _apply(self, engine: EngineConfig, arguments: Settled, variables: Settled) -> None:
        changed = {value.name: value for value in arguments.values if value.origin == "spec"}
        tokens, sequences = changed.get(_TOKENS), engine.value("max_num_seqs")
        if tokens and sequences is not None and int(tokens.value) < sequences:
            raise UsageError(
                f"{_TOKENS} {tokens.value} of the spec is below max_num_seqs {sequences}, which vLLM refuses",
                where=self.cell.id,
                hint=f"lower max_num_seqs to {tokens.value}, or raise the spec's",
            )
        for name, value in changed.items():
            engine.set(name, True if value.value == "true" else int(value.value))
            instead = f" (instead of {value.overrode})" if value.overrode else ""
            _log.info("%s=%s%s for %s", name, value.value, instead, self.cell.model)
        for value in variables.values:
            if value.origin == "spec":
                self.set_env_var(value.name, value.value)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
