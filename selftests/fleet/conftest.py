"""The place of the whole-command tests serves the fleet, too."""

from selftests.plugin.conftest import place

__all__ = ["place"]
