"""What a row keeps of ages: statements, in log order. What they come to hangs on a policy's age lines."""

from datetime import date

import msgspec

from consentry.errors import ConsentryError
from consentry.events import AgeAsserted
from consentry.state.circumstances import circumstances_of, with_circumstances
from consentry.state.knowledge import is_ahead
from consentry.state.marks import counting_always
from consentry.state.row import MAX_AGE_STATEMENTS, AgeStatement, SubjectState
from consentry.terms import ActorRole, AgeBand, AgeSource

_replace = msgspec.structs.replace


def with_age(
    state: SubjectState, event: AgeAsserted, recorded_at: int, offset: int, *, may_raise: bool
) -> SubjectState:
    """The row with one statement more. With `may_raise` false it can only lower the age.

    Beyond 32 one that can only raise it, or says again what the last one said, has no effect. Raises ConsentryError
    where it says no age.
    """
    facts = circumstances_of(state)
    statement = AgeStatement(
        event_id=event.event_id.bytes,
        source=event.source,
        birth_date=_birth_date_of(event),
        band=event.age_band,
        may_raise=may_raise and not is_ahead(event, recorded_at),
        occurred_at=min(event.occurred_at, recorded_at),
        recorded_at=recorded_at,
        offset=offset,
    )
    if len(facts.ages) < MAX_AGE_STATEMENTS:
        return with_circumstances(state, _replace(facts, ages=(*facts.ages, statement)))
    if statement.band is AgeBand.ADULT or _says(statement) == _says(facts.ages[-1]):
        return state
    return _a_child_from_now_on(state, statement)


def _a_child_from_now_on(state: SubjectState, statement: AgeStatement) -> SubjectState:
    """What may lower the age is never lost: with no room to keep what it changes, it changes everything.

    The subject is a child until a verified age says otherwise. What was granted, accepted and lifted is gone; what a
    guardian stopped counts, whatever the ages were.
    """
    child = _replace(statement, source=AgeSource.VERIFIED, birth_date=None, band=AgeBand.CHILD, may_raise=False)
    facts = _replace(circumstances_of(state), ages=(child,), acceptances=(), lifts=())
    return _replace(
        state,
        acts=(),
        marks=tuple([counting_always(mark) for mark in state.marks]),
        opt_outs=tuple(
            [
                _replace(each, actor_role=ActorRole.SYSTEM) if each.actor_role is ActorRole.GUARDIAN else each
                for each in state.opt_outs
            ]
        ),
        circumstances=facts,
    )


def _birth_date_of(event: AgeAsserted) -> int | None:
    """As `date.toordinal` counts days; None where a band was said."""
    if (event.birth_date is None) == (event.age_band is None):
        raise ConsentryError("an age is a birth date or a band, one of them", where="birth_date")
    text = event.birth_date
    if text is None:
        return None
    try:
        born = date.fromisoformat(text)
    except ValueError:
        born = None
    if born is None or born.isoformat() != text:
        raise ConsentryError(f"{text[:20]!r} is no date", where="birth_date", remedy="YYYY-MM-DD")
    return born.toordinal()


def _says(statement: AgeStatement) -> tuple[str, int | None, str | None]:
    return statement.source, statement.birth_date, statement.band
