"""Runs uv, or venv and pip, so that a person sees progress and one telling line, never the flood. Standard library only."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hallmark.core.errors import ProvisionError
from hallmark.environment import disk, pip_settings

HEARTBEAT_S = 15.0
NETWORK = "check the network, the proxy, and the index that pip is configured with"
TELLING: tuple[tuple[str, str], ...] = (
    (r"No space left on device.*", "free some space"),
    (
        r"Cannot install .* because .*",
        "the demanded versions exclude each other: change the spec",
    ),
    (r"Temporary failure in name resolution|NewConnectionError.*|dns error.*|CERTIFICATE_VERIFY_FAILED.*", NETWORK),
    (r"No matching distribution found for .*", "check the name and the version; is it on the index or the find-links of pip?"),
    (
        r"Because (?:there (?:is|are) no versions? of .*|.* (?:was|were) not found in .*)",
        "check the name and the version; is it on the index or the find-links of pip?",
    ),
    (
        r"(?:Failed to build|Failed building wheel for|Failed to build installable wheels) .*",
        "its build needs something: see the log",
    ),
    (r"(?:ERROR|error): .*", "see the log"),
)
"""What explains a failed install, most telling first, and what to do about it."""


class InstallFailed(Exception):
    """A command ended badly; carries what it printed."""

    def __init__(self, output: str) -> None:
        super().__init__(explain(output)[0])
        self.output = output


def explain(output: str) -> tuple[str, str]:
    """The telling line of an installer's output, and what to do."""
    for pattern, hint in TELLING:
        if matches := re.findall(pattern, output):
            return str(matches[-1]).strip(), hint
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return (lines[-1] if lines else "it printed nothing"), "see the log"


PHASES = {
    **dict.fromkeys(("Resolving", "Collecting", "Looking"), "finding versions"),
    **dict.fromkeys(("Resolved", "Downloading", "Downloaded", "Using", "Obtaining"), "downloading"),
    **dict.fromkeys(("Building", "Preparing", "Built"), "building"),
    **dict.fromkeys(("Prepared", "Installing", "Uninstalling"), "installing"),
}
"""By the first word of a line of uv's or pip's output, what is under way after it."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """What is to be installed, and where."""

    folder: Path
    base: str
    """The interpreter that the environment is made from."""
    requirements: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    index: str = ""
    """An index to look at besides, when what pip is configured with cannot serve the installation."""
    resolved: bool = False
    """Whether `requirements` are a lock: all there is to install, at these versions."""
    editable: str = ""
    """A checkout, with extras if any (`/src/hallmark[evals]`); empty for none."""

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def arguments(self) -> list[str]:
        editable = ("--editable", self.editable) if self.editable else ()
        return [*(("--no-deps",) if self.resolved else ()), *self.requirements, *editable]

    @property
    def attempts(self) -> list[list[str]]:
        """The options of each attempt to install: as configured, then with the spec's index besides."""
        return [[], *([["--extra-index-url", self.index]] if self.index else [])]

    @property
    def title(self) -> str:
        names = [*self.requirements, *((Path(self.editable).name,) if self.editable else ())]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


@dataclass(frozen=True, kw_only=True)
class Shell:
    """How commands are run: their output goes to `output`, a line now and then to `log`."""

    output: Path
    log: Callable[[str], None]
    environ: Mapping[str, str]
    held: Sequence[int] = field(default=())
    """Descriptors that commands inherit: with the lock's, an orphan of a killed build keeps others out of its folder."""

    def run(self, command: Sequence[str], what: str, *, environ: Mapping[str, str] | None = None) -> None:
        """Run to the end; InstallFailed on a bad exit. Interrupted, it takes the command and its children along."""
        started, offset = time.monotonic(), self._size()
        with self.output.open("ab") as stream:
            stream.write(f"\n$ {' '.join(command)}\n".encode())
            stream.flush()
            process = self._start(command, stream.fileno(), environ)
            try:
                self._watch(process, what, started)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise
        if process.returncode != 0:
            said = self._since(offset)
            if full := disk.ran_out(said, *self._places()):
                # On no index and with no other installer will there be more room.
                raise disk.DiskFull(f"{what}: {full}", where=str(self.output), hint="free some space, and run this again")
            raise InstallFailed(said)

    def _places(self) -> list[Path]:
        """Where installers write: beside the environment, and where temporary files go."""
        return [self.output.parent, Path(self.environ.get("TMPDIR") or tempfile.gettempdir())]

    def try_each(
        self, command: Sequence[str], installation: Installation, what: str, *, environ: Mapping[str, str] | None = None
    ) -> None:
        """Run an install command once for each of the installation's attempts, until one succeeds; the last failure counts."""
        for number, options in enumerate(installation.attempts, start=1):
            try:
                self.run([*command, *options, *installation.arguments], what, environ=environ)
            except InstallFailed as exc:
                if number == len(installation.attempts):
                    raise
                self.log(f"{what}: {exc}; trying {installation.index} besides")
            else:
                return

    def _start(self, command: Sequence[str], output: int, environ: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
        env = dict(self.environ if environ is None else environ)
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                pass_fds=tuple(self.held),
                start_new_session=True,
            )
        except OSError as exc:
            raise InstallFailed(f"{command[0]}: {exc.strerror}") from exc

    def _watch(self, process: subprocess.Popen[bytes], what: str, started: float) -> None:
        while True:
            try:
                process.wait(HEARTBEAT_S)
            except subprocess.TimeoutExpired:
                self.log(f"{what}: {time.monotonic() - started:.0f} s so far{self._doing()}")
            else:
                return

    def _doing(self) -> str:
        """The phase that the installer's last telling line is of; the line itself stays in `output`."""
        words = [line.split()[0] for line in self._since(max(0, self._size() - 2000)).splitlines() if line.strip()]
        phase = next((PHASES[word] for word in reversed(words) if word in PHASES), "")
        return f", {phase}" if phase else ""

    def _size(self) -> int:
        return self.output.stat().st_size if self.output.exists() else 0

    def _since(self, offset: int) -> str:
        with self.output.open("rb") as stream:
            stream.seek(offset)
            return stream.read().decode("utf-8", "replace")


def install_with_uv(uv: str, installation: Installation, shell: Shell) -> None:
    """Make the environment with uv, told of pip's settings; InstallFailed where uv cannot."""
    options = pip_settings.settings(shell.environ, pip_config(installation.base, shell.environ))
    environ = pip_settings.uv_environment(options, shell.environ)
    what = f"uv installs {installation.title}"
    # --allow-existing: the folder holds our marker already.
    venv = [uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", installation.base, str(installation.folder)]
    shell.run(venv, "uv makes the environment", environ=environ)
    command = [
        uv,
        "pip",
        "install",
        "--python",
        str(installation.python),
        *pip_settings.uv_flags(options),
        *_overrides(installation),
    ]
    shell.try_each(command, installation, what, environ=environ)


def _overrides(installation: Installation) -> list[str]:
    if not installation.excluded:
        return []
    path = installation.folder / ".hallmark-overrides.txt"
    path.write_text("".join(f"{name} ; sys_platform == 'never'\n" for name in installation.excluded), encoding="utf-8")
    return ["--overrides", str(path)]


def pip_config(python: str, environ: Mapping[str, str]) -> str:
    """The output of `pip config list`; empty where there is no pip."""
    try:
        done = subprocess.run(
            [python, "-m", "pip", "config", "list"], env=dict(environ), capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def install_with_pip(installation: Installation, shell: Shell) -> None:
    """Make the environment with venv and pip, which reads its own settings; ProvisionError where that fails."""
    _make_venv(installation, shell)
    pip = [str(installation.python), "-m", "pip"]
    try:
        shell.try_each(
            [*pip, "install", "--no-input", "--progress-bar", "off"], installation, f"pip installs {installation.title}"
        )
        if installation.excluded:
            shell.run([*pip, "uninstall", "--yes", *installation.excluded], f"pip removes {', '.join(installation.excluded)}")
    except InstallFailed as exc:
        line, hint = explain(exc.output)
        raise ProvisionError(
            f"cannot install {installation.title}: {line}",
            where=str(installation.folder),
            hint=f"{hint}; the whole output is in {shell.output}",
        ) from exc


def _make_venv(installation: Installation, shell: Shell) -> None:
    try:
        shell.run([installation.base, "-m", "venv", str(installation.folder)], "venv makes the environment")
    except InstallFailed as exc:
        if re.search(r"ensurepip is not available|No module named '?(ensurepip|venv)\b", exc.output):
            raise ProvisionError(
                "this Python cannot make a virtual environment: its venv or ensurepip module is missing",
                where=installation.base,
                hint="install it (Debian and Ubuntu: apt install python3-venv), or install uv, and run this again",
            ) from exc
        line, _ = explain(exc.output)
        raise ProvisionError(
            f"cannot make a virtual environment: {line}",
            where=str(installation.folder),
            hint=f"the whole output is in {shell.output}",
        ) from exc
