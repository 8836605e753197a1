"""A server as a process of this machine, in the environment that the spec describes or the user names."""

from hallmark.serving.launchers import LauncherKind

KIND = LauncherKind(
    name="local",
    summary="a process of this machine; the default",
    site="hallmark.serving.local.site:LocalSite",
    launcher="hallmark.serving.local.launcher:LocalLauncher",
)
