"""The server as a container, and one command in an image. The only importers of the Docker SDK.

A container outlives whoever started it, so each one has a leash (`hallmark.serving.leash`): a process that removes it when
this one ends, whatever ends it. Should the leash be killed too, the next start sweeps up.
"""

from hallmark.serving.docker.daemon import OWNER_LABEL, connect, image_facts, remove_named
from hallmark.serving.docker.launcher import DockerLauncher
from hallmark.serving.docker.once import run_beside, run_in_image

__all__ = ["OWNER_LABEL", "DockerLauncher", "connect", "image_facts", "remove_named", "run_beside", "run_in_image"]
