"""Every option, once: pytest, `run.py`, `hallmark`, the header and the documentation are filled from this table.

An option NAME is `--hallmark-NAME` for pytest, and `--NAME` where no other plugin has that; `--NAME` for run.py and
hallmark; the variable HALLMARK_NAME; the ini key hallmark_name. Where several say something, the command line wins over the
environment, and that over the ini file.
"""

from __future__ import annotations

from dataclasses import dataclass, field

SERVING = frozenset({"server", "release", "evals", "benchmarks", "tests"})
"""The workflows that have a server."""
RUNS = frozenset({"release", "spec", "tests", "evals", "benchmarks"})
"""The workflows that are a pytest run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option: what it says, how its value looks, and which workflows use it. Elsewhere it is an error, not silence."""

    name: str
    help: str
    metavar: str = ""
    """How the value is called; empty for a flag, which has none."""
    used_by: frozenset[str] = field(default=RUNS | SERVING)
    many: bool = False
    """Whether it may be repeated."""
    path: bool = False
    """Whether the value names a place of the file system, seen from where it was written."""
    aliases: tuple[str, ...] = ()
    """Other names for run.py and hallmark, kept for who is used to them."""

    @property
    def key(self) -> str:
        """The ini key, and the attribute of parsed options."""
        return "hallmark_" + self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        return self.key.upper()

    @property
    def of_pytest(self) -> bool:
        """Whether it means anything to a pytest run."""
        return bool(self.used_by & RUNS)


OPTIONS = (
    Option(name="model", metavar="NAME|GLOB", help="model to certify; repeatable", many=True),
    Option(name="device", metavar="NAME", help="device of the catalogue (run.py's default: the one that is here)"),
    Option(name="impl", metavar="NAME", help="implementation, where the device has several"),
    Option(name="runtime-config", metavar="NAME", help="such as tp4-32768-32 (default: each that has perf points)"),
    Option(name="server", metavar="NAME", help="which launcher brings the server up: local, docker, attach, or one of a plugin"),
    Option(name="server-url", metavar="URL", help="a server that runs already; implies --server attach", used_by=RUNS),
    Option(name="server-python", metavar="PATH", help="interpreter that has the vendor's engine; used as it is", path=True),
    Option(name="image", metavar="IMAGE", help="container image in place of the spec's (--server docker): PARTIAL"),
    Option(name="host", metavar="ADDRESS", help="address to serve at (default: 127.0.0.1)", used_by=frozenset({"server"})),
    Option(name="port", metavar="N", help="port of a server that is started (default: a free one)", used_by=SERVING),
    Option(
        name="engine-arg",
        metavar="K=V",
        help="engine argument in place of the spec's; repeatable; PARTIAL",
        used_by=SERVING,
        many=True,
    ),
    Option(
        name="server-env",
        metavar="NAME=VALUE",
        help="variable for the server, over all others; repeatable; PARTIAL",
        many=True,
    ),
    Option(name="spec-dir", metavar="DIR", help="more model specs; repeatable", many=True, path=True),
    Option(
        name="artifacts",
        metavar="DIR",
        help="where each run makes its folder (default: artifacts)",
        used_by=RUNS | SERVING | {"reports"},
        path=True,
    ),
    Option(
        name="summary",
        metavar="FILE",
        help="append each report, as Markdown (default on GitHub: its summary)",
        used_by=RUNS,
        path=True,
    ),
    Option(
        name="limit",
        metavar="N",
        help="score only N items of each eval; the run is then PARTIAL",
        used_by=frozenset({"release", "evals"}),
    ),
    Option(
        name="reference",
        metavar="DIR",
        help="folder of references for evals (default: beside the specs)",
        used_by=frozenset({"release", "evals"}),
        path=True,
    ),
    Option(
        name="no-early-stop",
        help="ask all items of an eval, also where its reference decides sooner",
        used_by=frozenset({"release", "evals"}),
    ),
    Option(
        name="smoke",
        help="two minutes: every kind of check, few samples; certifies nothing",
        used_by=frozenset({"release"}),
    ),
    Option(
        name="run",
        metavar="FOLDER",
        help="the run to render again (default: the newest)",
        used_by=frozenset({"reports"}),
        path=True,
    ),
    Option(
        name="resume",
        metavar="FOLDER",
        help="go on with a run that broke off; what it measured stays",
        used_by=RUNS,
        path=True,
    ),
    Option(
        name="device-wait",
        metavar="SECONDS",
        help="wait so long for a device that is in use (default: 600)",
        used_by=SERVING,
    ),
    Option(
        name="server-wait",
        metavar="SECONDS",
        help="wait for --server-url (default: 1 to listen, 60 to be ready)",
        used_by=RUNS,
    ),
    Option(name="install-missing", help="install what is missing into the server's environment"),
    Option(
        name="strict-server-config",
        help="stop where a value of the spec is displaced or guessed",
        aliases=("strict-config",),
    ),
)


def by_name(name: str) -> Option:
    """The option of that name; KeyError for one that is not in the table."""
    return _BY_NAME[name]


_BY_NAME = {option.name: option for option in OPTIONS}
