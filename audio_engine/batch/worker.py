"""The program of a worker process: a job comes in, what became of it goes out, and again."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from multiprocessing.connection import Connection

from audio_engine.batch.job import Job, do_job, portable

READY = "ready"
_PROGRESS_EVERY_S = 0.1
_LAST_WORDS_S = 1.0


def main(descriptor: int) -> None:
    """Work until the other end of the socket is closed."""
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, args=(descriptor,), daemon=True).start()
    connection = Connection(descriptor)
    try:
        connection.send(READY)
        while True:
            connection.send(_done(connection.recv(), connection))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # there is nothing left to give up


def _done(job: Job, connection: Connection) -> object:
    next_word_s = 0.0

    def progress(done: int, total: int) -> None:
        """Tell the parent how far it is, not too often."""
        nonlocal next_word_s
        now_s = time.monotonic()
        if now_s >= next_word_s:
            next_word_s = now_s + _PROGRESS_EVERY_S
            connection.send((done, total))

    try:
        return do_job(job, progress)
    except Exception as error:
        return portable(error)


def _end_with_parent(descriptor: int) -> None:
    """Wait for the parent's end of the socket to close, then give up whatever is being done."""
    hangup = select.poll()
    hangup.register(descriptor, 0)  # a hang-up is always told
    while not hangup.poll():
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # through the writers, so that no part of a file stays
    time.sleep(_LAST_WORDS_S)
    os._exit(1)


def _end(number: int, _: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing may disturb the clearing up
    raise SystemExit(128 + number)
