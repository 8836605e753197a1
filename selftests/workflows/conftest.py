"""The place of the whole-command tests serves the workflows, too."""

from selftests.plugin.conftest import place

__all__ = ["place"]
