"""What can go wrong, in three kinds; each message names the value, what is wrong, the remedy."""


class EngineError(Exception):
    """The family. `details` is for a log or a copy key, never needed to act."""

    exit_status = 3

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details


class BadInput(EngineError, ValueError):
    """A wrong value, file or name: nothing was run and nothing written."""

    exit_status = 2


class RunFailed(EngineError):
    """The request was good and the computation still failed."""


class RunCancelled(EngineError):
    """Stopped by the user; what was computed so far was delivered as parts."""

    exit_status = 130
