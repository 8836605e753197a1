"""What a perf point's requests are like beyond one length for all: drawn lengths, and what they have in common."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hallmark.specs.strict import Contradiction, Fraction, Name, Positive, Strict


class Drawn(Strict):
    """A number of tokens that is drawn for each request; the point's own `isl` or `osl` is the most."""

    kind: Literal["uniform", "lognormal"]
    """`uniform`: every number from `low` up is as likely; `lognormal`: many short and few long ones, as users write and ask."""
    low: Positive | None = None
    """Of `uniform`: the least."""
    p50: Positive | None = None
    """Of `lognormal`: the median."""
    p95: Positive | None = None
    """Of `lognormal`: 5 % are longer."""

    def name_with(self, most: int) -> str:
        """As it stands in the name of a point, such as `64to512` or `512lognormal60-200`."""
        return f"{self.low}to{most}" if self.kind == "uniform" else f"{most}lognormal{self.p50}-{self.p95}"

    def require_below(self, most: int, *at: str) -> None:
        """Raise Contradiction, `at` its place, where it does not fit under the point's own number."""
        told = "low" if self.kind == "uniform" else "p95"
        value = self.low if self.kind == "uniform" else self.p95
        if value is not None and value > most:
            raise Contradiction(f"{told} ({value}) is above {at[-1]} ({most}), which is the most", *at, told)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Drawn:
        quantiles = (self.p50, self.p95)
        if self.kind == "uniform" and (self.low is None or quantiles != (None, None)):
            raise Contradiction("uniform has low, and no p50 and p95", "low")
        if self.kind == "lognormal" and (self.low is not None or None in quantiles):
            raise Contradiction("lognormal has p50 and p95, and no low", "p50")
        if self.p50 and self.p95 and self.p50 >= self.p95:
            raise Contradiction(f"p50 ({self.p50}) must be below p95 ({self.p95})", "p50")
        return self


class Lengths(Strict):
    """Which of a point's lengths differ from request to request."""

    isl: Drawn | None = None
    """Tokens of each prompt; absent where all have `isl`."""
    osl: Drawn | None = None
    """Tokens of each answer; absent where all have `osl`. None is below 2, which is the least that has a time per token."""

    @model_validator(mode="after")
    def _states_one(self) -> Lengths:
        if not self.isl and not self.osl:
            raise Contradiction("draws no length: isl, osl, or both", "isl")
        return self


class Prefixes(Strict):
    """Prompts begin alike, as those of one application do: each with the prefix of one of several groups, which is drawn."""

    groups: Positive
    """How many different prefixes there are. The warm-up sends one after the other."""
    tokens: Positive
    """Of each prefix; they count for `isl`. What of them a prefix cache answers is no fault."""

    @property
    def name(self) -> str:
        return f"prefix{self.groups}x{self.tokens}"


Share = Annotated[Fraction, Field(gt=0)]


class Shares(Strict):
    """What parts of the requests are for something else than the model's plain answer; no request is of two kinds."""

    adapters: dict[Name, Share] = Field(default_factory=dict)
    """LoRA adapter of the weights -> the part of all requests that is for it, such as 0.25. They are loaded for the point."""
    structured: Share | None = None
    """The part that asks for structured output; its answers have `osl` tokens as well. Over chat alone."""

    @property
    def name(self) -> str:
        adapters = [f"adapter-{name}-{share:g}" for name, share in self.adapters.items()]
        return "-".join([*adapters, *([f"structured-{self.structured:g}"] if self.structured else [])])

    @property
    def least(self) -> float:
        """The smallest of them."""
        return min([*self.adapters.values(), *([self.structured] if self.structured else [])])

    @model_validator(mode="after")
    def _is_part_of_all(self) -> Shares:
        if not self.adapters and not self.structured:
            raise Contradiction("states no share: adapters, structured, or both", "structured")
        total = sum(self.adapters.values()) + (self.structured or 0)
        if total > 1 + 1e-9:
            raise Contradiction(f"the shares together are {total:g}, more than all requests", "adapters")
        return self


class Turns(Strict):
    """Requests come in conversations: each next prompt is all that was said before, and something new.

    Prompts are made before the clock starts, so what was said before holds as many other tokens in the place of each answer.
    """

    number: Annotated[Positive, Field(gt=1)]
    """Turns of each conversation, each of them a request. The last prompt has `isl` tokens, and what is new is equally long."""
    think_s: Annotated[float, Field(ge=0)] = 0.0
    """So long after an answer the next turn is due."""

    @property
    def name(self) -> str:
        return f"turns{self.number}" + (f"-think{self.think_s:g}" if self.think_s else "")
