"""Moves models and adapters onto this machine: whole, checked, once, and only from and to where the operator allows.

    downloads = Downloads(DownloadSettings.of_environment(os.environ))    # inside a running event loop
    job = downloads.submit(DownloadRequest("org/model", "/models/model"))  # or Refused(status, message)
    await downloads.wait(job)                                              # job.state, job.error, job.to_plain()

Each download is a process of its own: the event loop never waits for a disk or a socket, a job can be ended at any
instant, and what guards the network cannot be switched off by another job.
"""

from hallmark_services.sidecar.downloads.job import Job, JobState
from hallmark_services.sidecar.downloads.request import DownloadRequest, Refused
from hallmark_services.sidecar.downloads.service import Downloads
from hallmark_services.sidecar.downloads.settings import Credentials, DownloadSettings

__all__ = ["Credentials", "DownloadRequest", "DownloadSettings", "Downloads", "Job", "JobState", "Refused"]
