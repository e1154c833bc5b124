"""Everything Consentry raises.

ConsentryError
├── InvalidEvent        an event that intake does not take; names the field
├── InvalidPolicy       a policy document or revision that is refused; names the line and the field
├── UndecodableRecord   bytes that are not a record we know
├── NotFresh            a view too old, or of another epoch, to rest an answer on
├── UntrustedLog        the log, a topic or a position is not the one we knew: serving would be wrong
└── Unavailable         nothing is known to be wrong but it cannot be done now; safe to repeat
"""

from collections.abc import Sequence


class ConsentryError(Exception):
    """What went wrong, where, and what to do about it."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} ({self.remedy})" if self.remedy else text


class Problem(ConsentryError):
    """One fault of one field. Many of them make an InvalidEvent."""


class InvalidEvent(ConsentryError):
    """An event that may not enter the log. `problems` names each field and its fault.

    `status` is the HTTP status that fits: 400 unreadable, 403 not allowed, 409 in conflict, 422 not valid.
    """

    def __init__(self, problems: Sequence[Problem], *, status: int = 422, code: str = "INVALID_EVENT") -> None:
        self.problems = tuple(problems)
        self.status = status
        self.code = code
        first = self.problems[0]
        super().__init__("; ".join(str(problem) for problem in self.problems), remedy=first.remedy)

    def __str__(self) -> str:
        return self.what


class InvalidPolicy(ConsentryError):
    """A policy document or revision that is refused. `others` are further faults of the same document."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "", others: Sequence["InvalidPolicy"] = ()) -> None:
        self.others = tuple(others)
        super().__init__(what, where=where, remedy=remedy)


class UndecodableRecord(ConsentryError):
    """Bytes that are no record of a schema we know. Never skipped: quarantined, or denied."""


class NotFresh(ConsentryError):
    """The view cannot prove that it is new enough. A check denies; other callers may wait and repeat."""


class UntrustedLog(ConsentryError):
    """The log, a topic's setting, or a position contradicts what was recorded. A worker stops, a reader is STALE."""


class Unavailable(ConsentryError):
    """It could not be done now; its outcome may be unknown. Safe to repeat."""
