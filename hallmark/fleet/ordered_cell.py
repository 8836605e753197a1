"""From an order to its cell by the node's own catalogue: the same hallmark, the same spec, options that mean something."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hallmark import __version__
from hallmark.core.errors import UsageError, nearest
from hallmark.core.extensions import extensions
from hallmark.core.option_table import OPTIONS, by_name
from hallmark.core.own_code import code_digest
from hallmark.core.parts import WORKFLOWS
from hallmark.fleet.cell_spec import spec_digest
from hallmark.fleet.order import Order
from hallmark.serving import option_values
from hallmark.serving.launchers import kind_named
from hallmark.specs.catalogue import Catalogue, Selection, load_catalogue
from hallmark.specs.cell import Cell

OptionValue = str | tuple[str, ...] | bool
_OF_ORDER = frozenset({"model", "device", "impl", "runtime-config", "artifacts", "summary", "resume"})
"""What the order says otherwise, or what is of no use where a run's folder is given."""
_SHORT = 12


def attached(options: Mapping[str, OptionValue], environ: Mapping[str, str]) -> bool:
    """Whether those options, or else variables, are about a server that runs already; UsageError for no launcher's name."""
    server, url = (str(options.get(name) or environ.get(by_name(name).variable, "")) for name in ("server", "server-url"))
    return not kind_named(option_values.launcher(server, server_url=url)).starts_server


def cell_of(order: Order) -> Cell:
    """The cell by this machine's own catalogue. UsageError or SpecError where hallmark, its code or the spec is not the driver's,
    and where the order names no cell, or several.
    """
    if order.hallmark and order.hallmark != __version__:
        raise _other(f"the driver is hallmark {order.hallmark}, this is {__version__}", "install the same version on each node")
    if order.code and order.code != code_digest():
        what = f"the driver's code is {order.code[:_SHORT]}, this machine's {code_digest()[:_SHORT]}"
        raise _other(what, "install the same commit of hallmark on each node")
    _require_options(order)
    cell = _only(order, load_catalogue(_folders(order)))
    if order.spec and order.spec != spec_digest(cell):
        what = f"the driver's spec of {cell.id} is {order.spec[:_SHORT]}, here {cell.spec_file} says {spec_digest(cell)[:_SHORT]}"
        raise _other(what, "have every node see the driver's specs (--spec-dir)")
    return cell


def _require_options(order: Order) -> None:
    """Each of its options is one of a run, and has a value as that wants it: what is passed over would be demanded by nobody."""
    if order.workflow not in WORKFLOWS:
        raise UsageError(f"unknown workflow '{order.workflow}'", where="order", hint=nearest(order.workflow, WORKFLOWS))
    of_run = {option.name: option for option in OPTIONS if order.workflow in option.used_by and option.name not in _OF_ORDER}
    for name, value in order.options.items():
        if name not in of_run:
            raise UsageError(f"no option '{name}' of {order.workflow}", where="order", hint=nearest(name, of_run))
        option = of_run[name]
        wanted = bool if not option.metavar else (str, tuple) if option.many else str
        if not isinstance(value, wanted):
            raise UsageError(
                f"the value of '{name}' is {value!r}", where="order", hint=f"it is {option.metavar or 'true or false'}"
            )


def _other(what: str, hint: str) -> UsageError:
    return UsageError(what, where="order", hint=hint)


def _folders(order: Order) -> tuple[Path, ...]:
    said = order.options.get("spec-dir", ())
    more = (said,) if isinstance(said, str) else said if isinstance(said, tuple) else ()
    return (*extensions().answers("catalogues"), *map(Path, more))


def _only(order: Order, catalogue: Catalogue) -> Cell:
    wanted = Selection(models=(order.model,), device=order.device, impl=order.impl, configuration=order.configuration)
    cells = [cell for cell in catalogue.select(wanted) if order.cell in ("", cell.id)]
    if len(cells) != 1:
        raise UsageError(
            f"{len(cells)} cells are {order.cell or 'meant'}", where="order", hint="name model, device and impl of one"
        )
    return cells[0]
