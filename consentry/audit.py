"""Audit: what the log says of a subject as of any moment, on two clocks. Pure: it is given the records.

The clocks: `at` counts what had occurred by then, `as_known_at` what had been recorded by then. Where clocks are
compared, what an event says of its time counts as its recording at the most; so a tightening counts from when it
occurred or was recorded, the earlier. Folding and deciding are those of the workers and nodes.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

from consentry.decision import Decision, Request, View, decide
from consentry.events import Recorded, RecordedPolicyEvent
from consentry.folding import Unreadable, fold_entry
from consentry.policy import Policies
from consentry.state.fold import effect_of
from consentry.state.row import SubjectState
from consentry.terms import Effect, Position

LOG = "consent-events"

Entry = Recorded | Unreadable


class AsOf(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the log counts; what is left out bounds nothing."""

    at: int | None = None
    """ms: what had occurred by then"""
    as_known_at: int | None = None
    """ms: what had been recorded by then"""
    position: Position | None = None
    """up to this record: how an answer that was given live is derived again"""

    def counts(self, entry: Entry) -> bool:
        return (
            (self.at is None or _occurred_at(entry) <= self.at)
            and (self.as_known_at is None or entry.recorded_at <= self.as_known_at)
            and (self.position is None or entry.position <= self.position)
        )

    def moment(self, now: int) -> int:
        """When a decision is taken: the moment that is asked about."""
        known_at = now if self.as_known_at is None else self.as_known_at
        return known_at if self.at is None else self.at


def _occurred_at(entry: Entry) -> int:
    if isinstance(entry, Recorded):
        return min(entry.event.occurred_at, entry.recorded_at)
    return entry.recorded_at


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One record, and what it did to the subject's state."""

    entry: Entry
    effect: Effect
    fault: str | None = None
    """why it was set aside; None: it was folded"""


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of an audit."""

    subject: str
    as_of: AsOf
    steps: tuple[Step, ...]
    """what counts, in log order"""
    left_out: int
    """records of the subject that do not count as of then"""
    state: SubjectState | None
    """None: as of then the log said nothing of the subject"""
    decision: Decision | None = None
    """what was asked, answered as of then"""

    @classmethod
    def of(
        cls,
        subject: str,
        entries: Iterable[Entry],
        as_of: AsOf | None = None,
        *,
        log: str = LOG,
        begin: SubjectState | None = None,
    ) -> Self:
        """Fold what counts of a subject's records. `log` is the log's name on its cluster.

        `begin`: what the records before these came to, where not all of them are given at once.
        """
        as_of = as_of or AsOf()
        state = begin
        steps: list[Step] = []
        left_out = 0
        for entry in entries:
            if not as_of.counts(entry):
                left_out += 1
                continue
            before = state
            state, fault = fold_entry(before, entry, log)
            steps.append(Step(entry=entry, effect=_effect(before, state, entry, fault), fault=fault))
        return cls(subject=subject, as_of=as_of, steps=tuple(steps), left_out=left_out, state=state)

    def decided(self, request: Request, policies: Policies, now: int) -> Self:
        """With the decision as of then; `policies` are those known as of then, `now` counts where no moment is named.

        Nothing is stale in it: it rests on the log itself.
        """
        position = Position(0, 0, 0) if self.state is None else self.state.position
        request = msgspec.structs.replace(request, min_position=None)
        decision = decide(View(self.state, position, 0), policies, request, self.as_of.moment(now))
        return msgspec.structs.replace(self, decision=decision)


def _effect(before: SubjectState | None, after: SubjectState, entry: Entry, fault: str | None) -> Effect:
    if before is None:
        position = after.position
        before = SubjectState.unknown(after.subject, position.epoch, position.partition)
    if isinstance(entry, Unreadable) or fault is not None:
        return Effect.UNCHANGED if after is before else Effect.APPLIED
    return effect_of(before, after, entry)


def replay(entries: Iterable[Entry], as_of: AsOf | None = None, *, log: str = LOG) -> SubjectState | None:
    """The state that the records of one subject fold to as of then; None where none of them counts."""
    as_of = as_of or AsOf()
    state: SubjectState | None = None
    for entry in entries:
        if as_of.counts(entry):
            state, _ = fold_entry(state, entry, log)
    return state


def policies_known(records: Iterable[RecordedPolicyEvent], as_of: AsOf | None = None) -> Policies:
    """What had been published as of then, in force or not. Raises InvalidPolicy."""
    as_known_at = None if as_of is None else as_of.as_known_at
    policies = Policies()
    for recorded in records:
        if as_known_at is None or recorded.recorded_at <= as_known_at:
            policies = policies.after(recorded)
    return policies
