"""One client's view of one job: everything it has not seen, steps at a bearable rate."""

from __future__ import annotations

from mlxterp_engine.worker.jobs import Job, Posted
from mlxterp_engine.worker.protocol import Ending, Event, frame

STEP_INTERVAL = 0.1  # seconds; ten steps a second are as many as anybody reads


class Watching:
    """A place in a job's events. Holds no copies, so that a slow client costs nothing."""

    def __init__(self, job: Job, seq: int = 0) -> None:
        self.job_id = job.id
        self._job = job
        self._seq = seq
        self._step_due = 0.0

    def next(self, now: float) -> bytes | float | None:
        """The next frame to send; or the seconds until one may be; None: nothing is new.

        A step that comes too early waits when it is the last event, and is left out when
        something newer follows.
        """
        while (found := self._job.at_or_after(self._seq)) is not None:
            posted, last = found
            early = posted.step and now < self._step_due
            if early and last:
                return self._step_due - now
            self._seq = posted.seq + 1
            if not early:
                return self._send(posted, now)
        return None

    @property
    def over(self) -> bool:
        """Whether the job has ended and its last event was sent."""
        return self._job.seen_to_the_end(self._seq)

    def _send(self, posted: Posted, now: float) -> bytes:
        if posted.step:
            self._step_due = now + STEP_INTERVAL
        return posted.frame


class Remembered:
    """The view of a job of which only its end was kept."""

    def __init__(self, job_id: str, seq: int, ending: Ending) -> None:
        self.job_id = job_id
        self._frame: bytes | None = frame(Event(job_id, seq, ending))

    def next(self, now: float) -> bytes | None:
        sent, self._frame = self._frame, None
        return sent

    @property
    def over(self) -> bool:
        return self._frame is None


View = Watching | Remembered
