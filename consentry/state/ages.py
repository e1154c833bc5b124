"""What a row keeps of ages: statements, in log order. What they come to hangs on a policy's age lines."""

from datetime import date

from consentry.errors import ConsentryError
from consentry.events import AgeAsserted
from consentry.state.knowledge import is_ahead
from consentry.state.row import MAX_AGE_STATEMENTS, AgeStatement

Ages = tuple[AgeStatement, ...]


def with_age(ages: Ages, event: AgeAsserted, recorded_at: int, offset: int, *, may_raise: bool) -> Ages:
    """The statements with one more. With `may_raise` false it can only lower the age.

    Raises ConsentryError where it says no age, or where the row has no room for it.
    """
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
    ages = (*ages, statement)
    if len(ages) <= MAX_AGE_STATEMENTS:
        return ages
    spare = _to_spare(ages)
    if spare is None:
        raise ConsentryError("the row has no room for one more statement of age", where="ages")
    return (*ages[:spare], *ages[spare + 1 :])


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


def _to_spare(ages: Ages) -> int | None:
    """The first statement that its neighbours repeat: the later one is as good for raising the age as it was."""
    for place in range(1, len(ages) - 1):
        former, middle, later = ages[place - 1 : place + 2]
        if (
            _says(former) == _says(middle) == _says(later)
            and later.occurred_at >= middle.occurred_at
            and later.may_raise >= middle.may_raise
        ):
            return place
    return None


def _says(statement: AgeStatement) -> tuple[str, int | None, str | None]:
    return statement.source, statement.birth_date, statement.band
