"""Floor 4: spec + machine -> LaunchPlan, and the testbed that applies it.

Importing it supplies the registry of models with configurators.
"""

from __future__ import annotations

from hallmark.specs.cell import Cell
from hallmark.specs.registry import Configurator, supply_configurators


def _configurator(cell: Cell) -> Configurator:
    from hallmark.configure.configurator import DefaultConfigurator  # brings launchers with it, which the registry does not need

    return DefaultConfigurator(cell)


supply_configurators(_configurator)
