"""`hallmark keygen FILE`: a key that certificates are signed with.

Exit codes: 0 made; 2 a file that is there already, or a place where a key may not lie.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

_EPILOG = """FILE can be read by you alone; FILE.pub is for whoever is to trust it, with
`hallmark verify FOLDER --key FILE.pub`. Neither may lie in the folder of a run.
A key in a device is hsm:NUMBER?label=TOKEN; PYKCS11LIB names its library,
HALLMARK_SIGNING_PIN its PIN.

example: %(prog)s ~/.config/hallmark/release.key"""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Make a key (ed25519) that certificates are signed with. Needs the extra `signing`.",
        epilog=_EPILOG,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="where the private key goes; never overwritten")
    parser.add_argument("--hsm", default="", metavar="hsm:N", help="write FILE.pub of a key in a device (PKCS#11), and make none")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Make both halves, and say what the key is called."""
    from hallmark.signing.keys import PUBLIC_ENDING, make_key, write_device_key

    if options.hsm:
        key_id = write_device_key(options.file, options.hsm)
        return Ended(exit_code=0, lines=(f"public key:  {options.file}{PUBLIC_ENDING}", f"key id:      {key_id}"))
    key_id = make_key(options.file)
    private = f"private key: {options.file} (sign with it; keep it to yourself)"
    public = f"public key:  {options.file}{PUBLIC_ENDING} (give it to who is to trust it)"
    return Ended(exit_code=0, lines=(private, public, f"key id:      {key_id}"))
