"""In which order a client hears what it is told, and what happens to its jobs."""

import asyncio

from mlxterp_engine.experiments import LogitLens
from mlxterp_engine.worker.connection import Connection
from mlxterp_engine.worker.jobs import JobQueue
from mlxterp_engine.worker.protocol import (
    Cancelled,
    LogTrouble,
    decode_from_engine,
)
from mlxterp_engine.worker.watching import Watching

from stand_in import row


class Reading:
    """A client that reads a frame at a time; before it reads one, something may happen."""

    def __init__(self):
        self.heard = []
        self.before = {}

    def write(self, message):
        self.heard.append(decode_from_engine(message[4:]).body)

    async def drain(self):
        self.before.pop(len(self.heard), lambda: None)()
        await asyncio.sleep(0)


async def test_what_was_told_before_a_job_ended_is_heard_before_its_end():
    """Though the sending of its events was under way: who has heard the end may hang up."""
    queue, client = JobQueue(), Reading()
    queue.submit(LogitLens(prompt="a"))
    job = queue.take()
    queue.post(job, row(0))
    connection = Connection(None, client, None)
    connection.watch(Watching(job))

    def trouble_and_the_end():
        connection.tell(LogTrouble("the disk is full"))
        queue.end(job, Cancelled())

    client.before[1] = trouble_and_the_end
    await connection._send_news()
    assert client.heard == [row(0), LogTrouble("the disk is full"), Cancelled()]
