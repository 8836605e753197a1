"""Where the acceptance suite, the catalogue of specs and hallmark-tiny stand.

An installed wheel carries them inside the package; in a checkout they stand beside it. Their places to each other are the same.
Nothing is ever written there: an installation may be read-only.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_INSTALLED = _PACKAGE / "product"

INSTALLED = _INSTALLED.is_dir()
"""Whether this is an installed wheel, not a checkout."""
PRODUCT = _INSTALLED if INSTALLED else _PACKAGE.parent
SUITE = PRODUCT / "tests"
"""The acceptance tests: folders spec, server, evals and perf."""
CATALOGUE = PRODUCT / "model_specs"
"""The shipped specs, with the devices."""
