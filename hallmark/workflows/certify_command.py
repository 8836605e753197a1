"""`hallmark certify FOLDER`: write the certificate of a run, or of a matrix, that has ended, and sign it.

Exit codes: 0 written, of a run that was accepted; 1 written, of one that was rejected; 2 nothing can be certified, or signed by
that key; 4 the run is not decided by what the folder holds; 5 the folder is not as its run wrote it. The certificate of a matrix
states each of its cells, whatever it is, so that there is one of every matrix that came to its end; the code is the matrix's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

_EPILOG = """Without --key the certificate is UNSIGNED. A run signs its own where HALLMARK_SIGNING_KEY names the
file of a key.
ends: 0 accepted, 1 rejected, 2 not to be certified, 4 not decided, 5 the folder is altered

example: %(prog)s artifacts/20261121T014500Z-x-release --key release.key"""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Write the certificate of a run or a matrix (an in-toto statement in a DSSE envelope), and sign it.",
        epilog=_EPILOG,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, metavar="FOLDER", help="the folder of a run or a matrix; it is verified first")
    told = "a private key: of `hallmark keygen`, or in a device (PKCS#11); or an identity"
    parser.add_argument("--key", metavar="FILE|hsm:N|sigstore:", help=told)
    parser.add_argument("--witness", action="store_true", help="add this key's signature to what another one signed")
    parser.add_argument(
        "--reproduced-by", type=Path, metavar="FILE", help="another party's certificate of the same subjects on another device"
    )
    parser.add_argument("--other-key", metavar="FILE", help="the public key that signed that one")
    parser.add_argument("--operator", default="", metavar="NAME", help="who says that they ran it")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """Verify, state, sign; and render the report again, which says who signed."""
    from hallmark.fleet.result.reading import is_matrix
    from hallmark.workflows.certify.of_matrix import certify_matrix, witness_matrix
    from hallmark.workflows.certify.session import OtherRun, certify, witness  # brings the template engine

    if options.witness and options.key is None:
        raise UsageError("--witness adds a signature: say with which --key")
    if options.witness and (options.operator or options.reproduced_by):
        raise UsageError("--witness changes nothing of what is signed: leave out --operator and --reproduced-by")
    if (options.reproduced_by is None) is not (options.other_key is None):
        raise UsageError("--reproduced-by and --other-key go together: a certificate, and who signed it")
    if is_matrix(options.run):
        if options.reproduced_by:
            raise UsageError("states that another party's run came to the same", where="--reproduced-by", hint="certify that run")
        if options.witness:
            done = witness_matrix(options.run, options.key)
        else:
            done = certify_matrix(options.run, options.key, operator=options.operator)
    elif options.witness:
        done = witness(options.run, options.key)
    else:
        other = OtherRun(certificate=options.reproduced_by, key=options.other_key) if options.reproduced_by else None
        done = certify(options.run, options.key, operator=options.operator, other=other)
    return Ended(exit_code=done.exit_code, lines=tuple(done.lines))
