"""How old the subject was at a moment, as known from a place of the log. Pure.

The lines are the policy's, the statements the row's. Clause 7.a (the promise), and the law's line below which all
data are sensitive.
"""

from collections.abc import Iterator
from datetime import MAXYEAR, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from consentry.policy import Policy
from consentry.state.row import AgeStatement, Circumstances, Guardianship
from consentry.terms import AgeBand, AgeSource

EVERYTHING = 2**63 - 1
"""a place after every record: what is known now"""
_RANK = {AgeBand.CHILD: 0, AgeBand.MINOR: 1, AgeBand.ADULT: 2}
_BAND = (AgeBand.CHILD, AgeBand.MINOR, AgeBand.ADULT)
_STRENGTH = {AgeSource.INFERRED: 1, AgeSource.DECLARED: 2, AgeSource.GUARDIAN: 3, AgeSource.VERIFIED: 4}
_MINOR, _ADULT = _RANK[AgeBand.MINOR], _RANK[AgeBand.ADULT]
# Looked up once: an enum's attribute costs a check several times what a name costs.
_OF_AGE, _VERIFIED, _DECLARED_STRENGTH = AgeBand.ADULT, AgeSource.VERIFIED, _STRENGTH[AgeSource.DECLARED]
_ALWAYS, _NEVER = -(2**64), 2**64
"""before and after every moment"""


class Lowering(msgspec.Struct, frozen=True, gc=False):
    """The last statement that lowered the age over a line: what was granted before it counts for nothing."""

    event_id: bytes
    offset: int
    recorded_at: int

    def voids(self, offset: int, occurred_at: int, *, informed: bool = False) -> bool:
        return offset < self.offset or (occurred_at <= self.recorded_at and not informed)


class _Said(msgspec.Struct, frozen=True, gc=False):
    """A statement by one policy's lines: an age is asked for many times, so what is the same each time is read once."""

    offset: int
    occurred_at: int
    recorded_at: int
    since: int
    """a band says nothing of the time before it"""
    minor_at: int
    """from then on it says minor, before it child"""
    adult_at: int
    strength: int
    may_raise: bool
    verified: bool


class Age:
    """A subject's age by one policy's lines. Moments are ms since the epoch, UTC; places are offsets."""

    __slots__ = ("_guarded", "_latest", "_said", "_statements", "_unknown", "lowering")

    def __init__(self, circumstances: Circumstances, policy: Policy) -> None:
        self._statements = circumstances.ages
        self._said = [_said(statement, policy) for statement in circumstances.ages]
        self._guarded = _first_verified(circumstances.guardianships)
        self._unknown = _RANK[policy.unknown_age]
        known = [statement.occurred_at for statement in self._statements]
        self._latest = max(known if self._guarded is None else (*known, self._guarded.first_verified_at), default=0)
        self.lowering = self._last_lowering() if self._statements else None

    def now(self, now: int) -> AgeBand:
        """The class at `now`. Who asks may have a clock behind the log's: what the log holds has happened."""
        return self.at(max(now, self._latest))

    def is_adult(self, now: int) -> bool:
        return self.now(now) is _OF_AGE

    def at(self, moment: int, known: int = EVERYTHING) -> AgeBand:
        """The class at `moment`, from what the log held up to `known` (that place included)."""
        return _BAND[self._rank_at(moment, known)]

    def is_adult_at(self, moment: int, known: int = EVERYTHING) -> bool:
        return self._rank_at(moment, known) == _ADULT

    def adults_act(self, occurred_at: int, recorded_at: int, offset: int) -> bool:
        """Whether who acted was of age, by its clock as known now, and at its place as known there."""
        return self.is_adult_at(occurred_at) and self.is_adult_at(recorded_at, offset)

    def wards_act(self, occurred_at: int, recorded_at: int) -> bool:
        """Whether a guardian could act: the subject was a minor, as known now, when it happened and at its place."""
        return not self.is_adult_at(occurred_at) and not self.is_adult_at(recorded_at)

    def childs_act(self, occurred_at: int, recorded_at: int, offset: int) -> bool:
        """Whether the subject was below the law's line, by its clock and at its place."""
        return self.at(recorded_at, offset) is AgeBand.CHILD and self.at(occurred_at) is AgeBand.CHILD

    def came_of_age(self, now: int) -> int | None:
        """For who is of age at `now`: since when without a break; None: there was no time before it."""
        moments = sorted({moment for moment in self._turning_points() if moment <= max(now, self._latest)})
        if not moments:
            return None
        if all(self.is_adult_at(moment) for moment in moments):
            return None if self.is_adult_at(moments[0] - 1) else moments[0]
        last = max(place for place, moment in enumerate(moments) if not self.is_adult_at(moment))
        return moments[last + 1] if last + 1 < len(moments) else None

    def changes_after(self, now: int) -> int | None:
        """When time alone next takes the subject over a line."""
        return min([moment for moment in self._birthdays() if moment > now], default=None)

    def _rank_at(self, moment: int, known: int) -> int:
        guarded = self._guarded
        if guarded is not None and (guarded.first_verified_offset > known or guarded.first_verified_at > moment):
            guarded = None
        rank = self._unknown if guarded is None else min(self._unknown, _MINOR)
        last_said, strongest = [-1, -1, -1], 0
        for each in self._said:
            if each.offset > known or each.since > moment:
                continue
            if guarded is not None and guarded.first_verified_offset < each.offset:
                # a ward's own word does not undo what the guardian was verified for; the guardian's may
                strongest = max(strongest, _DECLARED_STRENGTH)
                last_said[_MINOR] = max(last_said[_MINOR], guarded.first_verified_at)
            said = _ADULT if moment >= each.adult_at else int(moment >= each.minor_at)
            if said <= rank or (
                each.may_raise
                and (each.verified or each.strength > strongest)
                and each.occurred_at > max(last_said[:said])  # heeded or not: whatever said less was earlier
            ):
                rank = said
            # not by max(), a call: a minor's decision comes by here some ten times
            if each.recorded_at > last_said[said]:
                last_said[said] = each.recorded_at
            if each.strength > strongest:
                strongest = each.strength
        return rank

    def _last_lowering(self) -> Lowering | None:
        for statement in reversed(self._statements):
            before = self._rank_at(statement.recorded_at, statement.offset - 1)
            if self._rank_at(statement.recorded_at, statement.offset) < before:
                return Lowering(statement.event_id, statement.offset, statement.recorded_at)
        return None

    def _birthdays(self) -> list[int]:
        moments = [moment for each in self._said for moment in (each.minor_at, each.adult_at)]
        return [moment for moment in moments if _ALWAYS < moment < _NEVER]

    def _turning_points(self) -> Iterator[int]:
        yield from self._birthdays()
        for statement in self._statements:
            yield statement.occurred_at
        if self._guarded is not None:
            yield self._guarded.first_verified_at


def _said(statement: AgeStatement, policy: Policy) -> _Said:
    if statement.birth_date is None:
        rank = _RANK[statement.band or AgeBand.CHILD]
        minor_at = _ALWAYS if rank >= _MINOR else _NEVER
        adult_at = _ALWAYS if rank >= _ADULT else _NEVER
    else:
        minor_at = reaches(statement.birth_date, policy.sensitive_below, policy.time_zone)
        adult_at = reaches(statement.birth_date, policy.guardian_required_below, policy.time_zone)
    return _Said(
        statement.offset,
        statement.occurred_at,
        statement.recorded_at,
        _ALWAYS if statement.band is None else statement.occurred_at,
        minor_at,
        adult_at,
        _STRENGTH[statement.source],
        statement.may_raise,
        statement.source is _VERIFIED,
    )


def age_of(circumstances: Circumstances | None, policy: Policy) -> Age | None:
    """The subject's age; None: an adult at every moment, for nothing says otherwise."""
    if circumstances is None:
        return None if policy.unknown_age is _OF_AGE else Age(Circumstances(), policy)
    if (
        not circumstances.ages
        and policy.unknown_age is AgeBand.ADULT
        and _first_verified(circumstances.guardianships) is None
    ):
        return None
    return Age(circumstances, policy)


def class_at(circumstances: Circumstances | None, policy: Policy, moment: int, known: int = EVERYTHING) -> AgeBand:
    """The subject's class at `moment`, from what the log held up to `known`."""
    age = age_of(circumstances, policy)
    return AgeBand.ADULT if age is None else age.at(moment, known)


@lru_cache(maxsize=65_536)
def reaches(birth_date: int, years: int, time_zone: str) -> int:
    """When who was born on that day (`date.toordinal`) becomes so many years old: midnight in the time zone, ms.

    Who is born on 29 February does so on 1 March of a common year.
    """
    born = date.fromordinal(birth_date)
    year = born.year + years
    if year > MAXYEAR:
        return _NEVER
    try:
        day = born.replace(year=year)
    except ValueError:
        day = date(year, 3, 1)
    return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(time_zone)).timestamp() * 1_000)


def _first_verified(guardianships: tuple[Guardianship, ...]) -> Guardianship | None:
    first: Guardianship | None = None
    for each in guardianships:
        if each.first_verified_at >= 0 and (first is None or each.first_verified_offset < first.first_verified_offset):
            first = each
    return first
