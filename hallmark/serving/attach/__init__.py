"""A server that somebody else started: never started by us, never stopped, and read back."""

from hallmark.serving.launchers import LauncherKind

KIND = LauncherKind(
    name="attach",
    summary="a server that runs already",
    site="hallmark.serving.attach.site:AttachSite",
    launcher="hallmark.serving.attach.launcher:AttachLauncher",
    starts_server=False,
    needs_url=True,
)
