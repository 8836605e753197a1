"""Static batching on Spyre: warm-up shapes as the variables that its platform reads, and which shapes variables mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hallmark.specs.batching import StaticConfig, WarmupShape

WARMUP = {
    "VLLM_SPYRE_WARMUP_PROMPT_LENS": "prompt_len",
    "VLLM_SPYRE_WARMUP_NEW_TOKENS": "new_tokens",
    "VLLM_SPYRE_WARMUP_BATCH_SIZES": "batch_size",
}
"""Variable -> what it lists of each shape; three lists of one length."""
_NEW_TOKENS = "VLLM_SPYRE_WARMUP_NEW_TOKENS"


def stated_in(variables: Mapping[str, str]) -> dict[str, str]:
    """Those of `variables` that state warm-up shapes; any of them asks for static batching."""
    return {name: variables[name] for name in WARMUP if name in variables}


def as_variables(shapes: Sequence[WarmupShape]) -> dict[str, str]:
    """The variables that state `shapes`. Without the new tokens where there are none: such a model has no use for them."""
    lists = {name: ",".join(str(getattr(shape, field)) for shape in shapes) for name, field in WARMUP.items()}
    return lists if any(shape.new_tokens for shape in shapes) else {n: text for n, text in lists.items() if n != _NEW_TOKENS}


def meant(configs: Sequence[StaticConfig], stated: Mapping[str, str]) -> tuple[WarmupShape, ...]:
    """The supported shapes that `stated` asks for: one of them, some, all, in any order. Empty where it asks for others.

    A variable that is not stated is completed, where the others leave one shape only.
    """
    found = dict.fromkeys(filter(None, (_meant(config, stated) for config in configs)))
    return next(iter(found)) if len(found) == 1 else ()


def _meant(config: StaticConfig, stated: Mapping[str, str]) -> tuple[WarmupShape, ...]:
    lists = {WARMUP[name]: _numbers(text) for name, text in stated.items()}
    if len({len(numbers) for numbers in lists.values()}) != 1:
        return ()
    wanted = [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    shapes = [tuple(_having(config, each)) for each in wanted]
    chosen = tuple(each[0] for each in shapes if len(each) == 1)
    return chosen if len(set(chosen)) == len(wanted) else ()


def _having(config: StaticConfig, wanted: Mapping[str, int]) -> Iterator[WarmupShape]:
    for shape in config.warmup_shapes:
        if all(getattr(shape, field) == number for field, number in wanted.items()):
            yield shape


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers of a list such as `2048, 4096`; empty for anything else."""
    words = [word.strip() for word in text.split(",")]
    return tuple(map(int, words)) if all(word.isdecimal() for word in words) else ()
