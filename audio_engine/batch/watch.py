"""Hearing how far a run is: what shows it to a person overrides these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audio_engine.batch.job import Job
    from audio_engine.batch.run import Outcome


class Watch:
    """Hears how far a run is; this one does nothing about it."""

    def checked(self, done: int, total: int) -> None:
        """Hear how many outputs of an earlier run have been looked at."""

    def said(self, text: str) -> None:
        """Hear something worth knowing about the run."""

    def planned(self, jobs: Sequence[Job]) -> None:
        """Hear which jobs are about to be done."""

    def moved(self, job: Job, done: int, total: int) -> None:
        """Hear how many frames of a file are done."""

    def again(self, job: Job, reason: str) -> None:
        """Hear that a file has lost its worker and is done again."""

    def ended(self, outcome: Outcome) -> None:
        """Hear that a file is done, or has failed."""
