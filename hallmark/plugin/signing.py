"""Who signs the certificate at the end of a run: the key that the environment names, by its file or in a device."""

from __future__ import annotations

from collections.abc import Mapping

from hallmark.plugin.cell_run import Sign

KEY_VARIABLE = "HALLMARK_SIGNING_KEY"


def signing(environ: Mapping[str, str]) -> Sign | None:
    """None where no key is named; UsageError for one that cannot sign, before anything is measured."""
    if not (named := environ.get(KEY_VARIABLE, "")):
        return None
    from hallmark.signing.keys import read_signing_key  # an extra, and slow to import

    return read_signing_key(named).sign
