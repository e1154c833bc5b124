"""What a row keeps of exemptions: those invoked, and what ended them. Whether a policy admits one, `decide` sees."""

from collections.abc import Iterator

import msgspec

from consentry.errors import ConsentryError
from consentry.events import ExemptionEnded, ExemptionInvoked
from consentry.state.blocks import bounded, join, scope_of_exemption, text_of, within
from consentry.state.knowledge import is_ahead
from consentry.state.row import EVERY_CODE, MAX_ENDINGS, MAX_INVOCATIONS, Circumstances, Ending, Invocation
from consentry.terms import Operation

MAX_INVOCATION_TEXT = 16_384
"""characters of all the words of one invocation; one with more has no effect"""

_replace = msgspec.structs.replace
Endings = tuple[Ending, ...]


def with_invocation(facts: Circumstances, event: ExemptionInvoked, recorded_at: int, offset: int) -> Circumstances:
    """The circumstances with an exemption: the same object where it is ahead of its time, ended, or one too many."""
    invocation = Invocation(
        event_id=event.event_id.bytes,
        code=event.code,
        legal_ref=event.legal_ref,
        valid_until=event.valid_until,
        occurred_at=min(event.occurred_at, recorded_at),
        recorded_at=recorded_at,
        offset=offset,
        scope=scope_of_exemption(event),
    )
    if not invocation.scope.operations or not invocation.scope.data:
        raise ConsentryError("it names no operations, or no data", where="ExemptionInvoked")
    words = (event.code, event.legal_ref, *invocation.scope.data, *invocation.scope.recipients)
    if is_ahead(event, recorded_at) or text_of(words) > MAX_INVOCATION_TEXT:
        return facts
    if len(facts.invocations) >= MAX_INVOCATIONS or _is_ended(invocation, facts.endings):
        return facts
    return _replace(facts, invocations=(*facts.invocations, invocation))


def with_ending(facts: Circumstances, event: ExemptionEnded, recorded_at: int, offset: int) -> Circumstances:
    """The circumstances without what the event ends whole. What it ends in part stays beside it, cell by cell.

    The ending stays too: an exemption invoked before it, and late, is found to be over. Beyond 64 two of one
    code become one that covers both; where there are no two, the two oldest become one of every code.
    """
    scope = scope_of_exemption(event)
    if not scope.operations or not scope.data:
        raise ConsentryError("it names no operations, or no data", where="ExemptionEnded")
    endings = _with_ending(
        facts.endings,
        Ending(
            event_id=event.event_id.bytes, code=event.code, recorded_at=recorded_at, offset=offset, scope=bounded(scope)
        ),
    )
    standing = [invocation for invocation in facts.invocations if not _is_ended(invocation, endings)]
    return _replace(facts, endings=endings, invocations=tuple(standing))


def _with_ending(endings: Endings, ending: Ending) -> Endings:
    endings = (*_not_covered_by(endings, ending), ending)
    while len(endings) > MAX_ENDINGS:
        pairs = list(_neighbours(endings))
        earlier, later = min(pairs, key=_breadth) if pairs else (endings[0], endings[1])
        code = later.code if earlier.code == later.code else EVERY_CODE
        joined = _replace(later, code=code, scope=bounded(join(earlier.scope, later.scope)))
        place = endings.index(later)
        endings = (*_not_covered_by(endings[:place], joined), joined, *endings[place + 1 :])
    return endings


def _neighbours(endings: Endings) -> Iterator[tuple[Ending, Ending]]:
    """Of each code, pairs that follow on each other."""
    former: dict[str, Ending] = {}
    for ending in endings:
        if ending.code in former:
            yield former[ending.code], ending
        former[ending.code] = ending


def _not_covered_by(endings: Endings, later: Ending) -> list[Ending]:
    return [
        each for each in endings if later.code not in (each.code, EVERY_CODE) or not within(each.scope, later.scope)
    ]


def _breadth(pair: tuple[Ending, Ending]) -> tuple[int, int, int, int]:
    """How much the two would cover as one, roughly; of equals the earliest pair."""
    earlier, later = pair
    joined = join(earlier.scope, later.scope)
    opened = sum(not part for part in (joined.purpose, joined.operations, joined.data, joined.recipients))
    operations = len(joined.operations) or len(Operation)
    return opened, operations * (len(joined.data) + len(joined.recipients)), earlier.offset, later.offset


def _is_ended(invocation: Invocation, endings: Endings) -> bool:
    """Whether one ending covers all of it, and came after it in the log or by its clock."""
    return any(
        ending.code in (invocation.code, EVERY_CODE)
        and (ending.offset > invocation.offset or invocation.occurred_at <= ending.recorded_at)
        and within(invocation.scope, ending.scope)
        for ending in endings
    )
