"""A log, its fold and a view of it in this process: what stands in for Kafka, the worker and the replica."""

from collections.abc import Sequence
from uuid import UUID

from consentry.decision import View
from consentry.events import AnySubjectEvent, Genesis, Recorded
from consentry.partition import partition_of
from consentry.state.fold import fold_or_quarantine
from consentry.state.row import SubjectState
from consentry.terms import Position, SubjectIds

LOG_ID = UUID("2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d")
PARTITIONS = 4


class MemoryLog:
    """It appends, and folds at once or when it is told to, with the fold that a worker has."""

    def __init__(self, ids: SubjectIds = SubjectIds.PLAIN) -> None:
        self.identity = Genesis(log_id=LOG_ID, epoch=1, partitions=PARTITIONS, subject_ids=ids)
        self.folds_at_once = True
        self.age_ms: int | None = 0
        """what a view says of its age; None: nothing proves it"""
        self.appended: list[Recorded] = []
        self._rows: dict[str, SubjectState] = {}
        self._ends = dict.fromkeys(range(PARTITIONS), 0)
        self._folded = dict.fromkeys(range(PARTITIONS), 0)
        self._next = 0

    def append(self, event: AnySubjectEvent, recorded_at: int) -> Recorded:
        partition = partition_of(event.subject, PARTITIONS)
        self._ends[partition] += 1
        recorded = Recorded(Position(1, partition, self._ends[partition]), recorded_at, event)
        self.appended.append(recorded)
        if self.folds_at_once:
            self.fold()
        return recorded

    def fold(self) -> None:
        """All that was appended and not folded yet."""
        for recorded in self.appended[self._next :]:
            position, subject = recorded.position, recorded.event.subject
            self._rows[subject], _ = fold_or_quarantine(self.row(subject) or self.unknown(subject), recorded)
            self._folded[position.partition] = position.offset
        self._next = len(self.appended)

    def row(self, subject: str) -> SubjectState | None:
        return self._rows.get(subject)

    def unknown(self, subject: str) -> SubjectState:
        """The row of somebody of whom the log says nothing."""
        return SubjectState.unknown(subject, self.identity.epoch, partition_of(subject, PARTITIONS))

    def subjects(self) -> Sequence[str]:
        return sorted(self._rows)

    def folded_to(self, partition: int) -> Position:
        return Position(self.identity.epoch, partition, self._folded[partition])

    def view(self, subject: str) -> View:
        position = self.folded_to(partition_of(subject, PARTITIONS))
        return View(row=self.row(subject), position=position, staleness_ms=self.age_ms)
