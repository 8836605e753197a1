"""`hallmark verify FOLDER`: is a run's folder what its run wrote, and does its verdict follow from it? Who signed that?

The folder of a matrix holds the folder of a run for each cell that counts, and each of them is looked at. Asks no server and no
network, but for the server that `--against` names: is it the one that was measured? Exit codes: that of the run or the matrix
itself where nothing is altered (0 accepted, 1 rejected, 2, 3, 4, 130); 2 no such folder; 5 altered, or not signed by a key that
was named; 6 made before hallmark recorded chains; 7 accepted, and no longer about what is served: its days have ended, or another
server runs there. Of a certificate alone 4 where no key was named.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hallmark.core.errors import UsageError
from hallmark.workflows.acceptance import Ended
from hallmark.workflows.help_text import one_line_each

_EPILOG = """exit codes, where nothing is altered that of the run: 0 accepted, 1 rejected, 3 void,
  4 not decided; and 2 no run's folder, 5 altered or not signed by a --key,
  6 made before hallmark recorded chains,
  7 accepted then, and its days have ended or another server runs --against it

example: %(prog)s artifacts/20261121T014500Z-id_vllm-cpu_hallmark-tiny_cpu-release
example: %(prog)s certificate.json --key release.key.pub"""


def make_parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="Say whether a run's folder is what its run wrote, and derive its verdict anew. Needs no server.",
        epilog=_EPILOG,
        formatter_class=one_line_each,
        allow_abbrev=False,
    )
    told = "the folder of a run or a matrix, or a certificate alone (default: the newest)"
    parser.add_argument("run", nargs="?", type=Path, metavar="FOLDER", help=told)
    told = "a public key (or sigstore: identity) that must have signed; repeatable"
    parser.add_argument("--key", action="append", metavar="FILE", help=told)
    parser.add_argument("--against", metavar="URL", help="a running server: is it the one that was measured?")
    parser.add_argument(
        "--against-weights", type=Path, metavar="DIR", help="with --against, on its machine: the folder of its weights"
    )
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"), metavar="DIR", help="where runs made their folders")
    parser.add_argument("-v", "--verbose", action="store_true", help="show tracebacks")
    return parser


def run(options: argparse.Namespace) -> Ended:
    """UsageError for a folder that holds no run."""
    from hallmark.fleet.result.reading import is_matrix
    from hallmark.signing.keys import read_trusted
    from hallmark.workflows.reports import newest_of_all  # brings the template engine
    from hallmark.workflows.verify.against import held_against
    from hallmark.workflows.verify.lone_certificate import verify_certificate
    from hallmark.workflows.verify.matrix.session import told as of_matrix
    from hallmark.workflows.verify.matrix.session import verify_matrix
    from hallmark.workflows.verify.session import BEFORE_CHAINS, told, verify
    from hallmark.workflows.verify.timely import timely

    folder = options.run or newest_of_all(options.artifacts)
    if options.against_weights and not options.against:
        raise UsageError("compares what a server reads", where="--against-weights", hint="name the server with --against URL")
    keys = [read_trusted(named) for named in options.key or ()]
    if options.against and (folder.is_file() or is_matrix(folder)):
        hint = "a certificate alone does not tell enough" if folder.is_file() else "name the folder of one cell's run"
        raise UsageError("holds a run's folder against a server", where="--against", hint=hint)
    if folder.is_file():
        return verify_certificate(folder, keys)
    if is_matrix(folder):
        matrix = verify_matrix(folder, keys=keys)
        return timely(matrix, tuple(of_matrix(matrix)), (), url="")
    found = verify(folder, keys=keys)
    if found is None:
        line = f"{folder}: made before hallmark recorded chains: nothing can be verified"
        return Ended(exit_code=BEFORE_CHAINS, lines=(line,))
    compared = held_against(folder, options.against, options.against_weights) if options.against else []
    return timely(found, tuple(told(found)), compared, url=options.against or "")
