"""A server in a container of this machine, and one command in an image. The modules in here alone import the Docker SDK.

A container outlives whoever started it, so each one has a leash (`leash.py`): a process that removes it when this one ends,
whatever ends it. Should the leash be killed too, the next start sweeps up.
"""

from hallmark.serving.launchers import LauncherKind

KIND = LauncherKind(
    name="docker",
    summary="a container",
    site="hallmark.serving.docker.site:DockerSite",
    launcher="hallmark.serving.docker.launcher:DockerLauncher",
    takes_image=True,
)
