"""What a check may need of a cell: the words of `needs=` in its marker."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hallmark.core.errors import UsageError
from hallmark.specs.cell import Cell
from hallmark.specs.model import Feature

_OF_CELL: Mapping[str, Callable[[Cell], bool]] = {
    "runtime": lambda cell: cell.impl.runtime,
    "architecture": lambda cell: bool(cell.architecture),
    "tokenizer": lambda cell: cell.weights.tokenizer is not None,
}
"""The runtime sidecar is certified with it; the spec states an architecture, a tokenizer."""
KEY = "key"
"""The server admits its clients by a key."""
STARTED = "started"
"""The server is started by the run itself, which may end it, too."""
SPEC = "spec"
"""The spec names the check in its own `checks`."""
FEATURES = frozenset(feature.value for feature in Feature)
_BY_ASKING = FEATURES - {Feature.LORA.value}
"""Features that can be found out by asking the server; adapters are those that the weights name."""
EXTENSIONS = ("field", "route", "extension")
"""What OpenAI's reference does not have and no spec declares: `field:min_tokens` of a request, `route:/tokenize`,
`extension:cached_tokens`, `extension:counters` (`client/offers.py` says how those are looked for)."""

# `declared:X`: the spec declares the feature X; that a server offers it besides is not enough to demand this of it.


def binds(cell: Cell, check: str, needs: tuple[str, ...], *, guarded: bool, attached: bool) -> bool:
    """Whether `cell` has all that the check needs; `guarded`: its server demands a key; `attached`: somebody else started it.
    UsageError for an unknown need.
    """
    return all(_has(cell, check, need, guarded=guarded, attached=attached) for need in needs)


def to_find_out(cell: Cell, check: str, needs: tuple[str, ...], *, guarded: bool, attached: bool) -> tuple[str, ...]:
    """What the server has to be asked about before the check applies to it; empty where nothing, or where it cannot apply."""
    lacking = tuple(need for need in needs if not _has(cell, check, need, guarded=guarded, attached=attached))
    return lacking if all(need in _BY_ASKING or need.partition(":")[0] in EXTENSIONS for need in lacking) else ()


def _has(cell: Cell, check: str, need: str, *, guarded: bool, attached: bool) -> bool:
    what, _, name = need.partition(":")
    match what:
        case _ if need in FEATURES:
            return need in {feature.value for feature in cell.impl.features}
        case _ if need in _OF_CELL:
            return _OF_CELL[need](cell)
        case _ if need in (KEY, STARTED):
            return guarded if need == KEY else not attached
        case _ if need == SPEC:
            return check in cell.impl.checks
        case _ if what in EXTENSIONS and name:
            return False
        case "device":
            return cell.device == name
        case "vendor":
            return cell.device_spec.detect.how == name
        case "impl":
            return cell.impl.name == name
        case "declared" if name in FEATURES:
            return _has(cell, check, name, guarded=guarded, attached=attached)
    known = ", ".join(sorted({*FEATURES, *_OF_CELL, KEY, STARTED, SPEC}))
    raise UsageError(
        f"the check {check} needs '{need}', which is unknown",
        hint=f"known: {known}, field:X, route:/X, extension:X, declared:X, device:X, vendor:X, impl:X",
    )
