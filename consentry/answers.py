"""What a caller holds in its hands: an answer with its doubts, and the receipt of a write. No rules, no I/O."""

from enum import StrEnum

import msgspec

from consentry.decision import Decision
from consentry.terms import Effect, Position, Reason, Status

NOWHERE = Position(0, 0, -1)
"""the position of an answer that no node gave: of no epoch, so that asked for as min_position it is never reached"""


class Doubt(StrEnum):
    """Why the node's own answer is not known, or not believed. Each is a DENY."""

    TIMEOUT = "timeout"
    """no answer before the deadline"""
    UNREACHABLE = "unreachable"
    """no connection, or one that broke"""
    REFUSED = "refused"
    """the node does not take this question, or not from this caller"""
    UNAVAILABLE = "unavailable"
    """a 5xx, of the node or of what stands before it"""
    UNREADABLE = "unreadable"
    """no answer of ours, or one in words that this version does not know"""
    MISMATCHED = "mismatched"
    """an answer to another question"""
    BROKEN = "broken"
    """a fault in this process"""


class Answer(Decision, frozen=True, kw_only=True):
    """A decision, and how far it can be believed to be the node's.

    With a `doubt` it is a DENY whose reason is STALE: nothing is known here that is fresh enough to allow it.
    """

    doubt: Doubt | None = None
    detail: str = ""
    """of the doubt, for people; it may quote the question"""
    warnings: tuple[str, ...] = ()
    """words of the question that the node did not understand"""


def denied_for(doubt: Doubt, detail: str) -> Answer:
    """The DENY that stands for an answer that is not known."""
    return Answer(
        allow=False,
        reason=Reason.STALE,
        clause="",
        basis=None,
        status=Status.UNKNOWN,
        evidence=(),
        policy_version=None,
        position=NOWHERE,
        tightened_position=None,
        staleness_ms=None,
        engine_version="",
        doubt=doubt,
        detail=detail,
    )


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """An event in the log, acknowledged by all in-sync replicas."""

    event_id: str
    position: Position
    """asked for as min_position, no later answer overlooks the event"""
    effect: Effect | None = None
    """what it did; None where that was not asked for, or not visible in time"""
