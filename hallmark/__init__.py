"""hallmark decides whether a served LLM is fit to release on a given device.

What other programs may import from here stays: `get_model_registry`. It comes when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hallmark.configure.model_registry import get_model_registry

__all__ = ["__version__", "get_model_registry"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "get_model_registry":
        from hallmark.configure.model_registry import get_model_registry

        return get_model_registry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
