"""hallmark decides whether a served LLM is fit to release on a given device.

PYTEST_DONT_REWRITE: `python -m hallmark.plugin` imports this before pytest is there, which would warn of that.

What other programs may import stands in `__all__`; it comes when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hallmark.specs.model_registry import get_model_registry
    from hallmark.specs.model_spec import ModelSpec
    from hallmark.specs.registering import register_device, register_family, unregister_device, unregister_family

__all__ = [
    "ModelSpec",
    "__version__",
    "get_model_registry",
    "register_device",
    "register_family",
    "unregister_device",
    "unregister_family",
]
__version__ = "0.1.0"

_MODULES = {"ModelSpec": "hallmark.specs.model_spec", "get_model_registry": "hallmark.specs.model_registry"}
"""Where the names are whose module is not `hallmark.specs.registering`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "hallmark.specs.registering")), name)
