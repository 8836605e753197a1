"""Who signs the certificate at the end of a run: the key that the environment names, by its file or in a device."""

from __future__ import annotations

from collections.abc import Mapping

from hallmark.plugin.cell_run import Sign


def signing(environ: Mapping[str, str]) -> Sign | None:
    """None where no key is named; UsageError for one that cannot sign, before anything is measured."""
    from hallmark.signing.keys import named_key  # needed by the process that reports alone

    key = named_key(environ)
    return key.sign if key else None
