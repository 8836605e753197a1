"""A STAND-IN FOR SELFTESTS ONLY: the class that builds the requests of a task; nothing here is built by it."""


class Task:
    """What the worker changes before it evaluates."""

    def build_all_requests(self) -> None:
        raise AssertionError("the stand-in builds no requests")
