"""consent_filter: another topic's records pass, are masked or dropped, by the consent of their subject, in their order.

What is not named does not pass: a field that somebody adds upstream next year is masked until it is listed here.
"""

import asyncio
import dataclasses
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

import msgspec

from consentry.answers import Answer, Doubt, denied_for
from consentry.decision import Decision
from consentry.errors import ConsentryError
from consentry.guard.checker import Asked, ask_awaiting
from consentry.guard.question import Names, Question, question_of
from consentry.terms import Form, Operation, Reason

log = logging.getLogger(__name__)

R = TypeVar("R")
Sleep = Callable[[float], Awaitable[None]]
PATIENCE_MS = 5_000
ASKED_AGAIN_AFTER_S = 0.05
WORTH_WAITING = frozenset({Reason.STALE, Reason.NOT_YET_VISIBLE})
"""denials that the same question may not meet a moment later"""
FRESH_MS = 2_000
"""a DENY by older state than this may be one of somebody who has agreed since: a function may be called again, a record
does not come again"""


class WhenDenied(StrEnum):
    DROP = "drop"
    """a record of which anything is denied does not pass"""
    MASK = "mask"
    """a record passes without the fields that are denied"""


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a record that did not pass: where it stands and why. Nothing that it holds is told on."""

    topic: str
    partition: int
    offset: int
    reason: Reason
    clause: str
    doubt: Doubt | None = None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the records so far."""

    passed: int
    """untouched"""
    masked: int
    """passed, without some of their fields"""
    dropped: int
    reasons: Mapping[str, int]
    """of what was masked or dropped: how many records, by the answer's reason"""
    fields: Mapping[str, int]
    """how often each field was masked"""
    waited: int
    """records that were held back for fresher state"""


class Weighed(msgspec.Struct, Generic[R], frozen=True):
    """A record, and what came of it."""

    record: R | None
    """what passes; None: it is dropped"""
    decision: Decision | None
    """None: the record holds nothing that had to be asked about"""


class ConsentFilter(Generic[R]):
    """Weighs one record after another. Made by `consent_filter`."""

    def __init__(
        self,
        checker: Asked,
        question: Question,
        *,
        subject: Callable[[R], str | None],
        categories: Mapping[str, str] | None,
        keeps: Collection[str],
        denied: WhenDenied,
        patience_ms: int,
        sleep: Sleep,
    ) -> None:
        self._checker = checker
        self._question = question
        self._subject = subject
        self._categories = categories
        self._keeps = frozenset(keeps)
        self._denied = denied
        self._tries = 1 + round(patience_ms / 1000 / ASKED_AGAIN_AFTER_S)
        self._sleep = sleep
        self._passed = self._masked = self._dropped = self._waited = 0
        self._reasons: Counter[str] = Counter()
        self._fields: Counter[str] = Counter()

    async def weigh(self, record: R) -> Weighed[R]:
        """What passes of the record. It waits for fresher state as long as its patience lasts, and then denies."""
        if self._categories is None:
            decision = await self._ask(record, self._question.data)
            return self._whole(record, decision)
        held = _fields_of(record)
        if held is None:
            log.error("record.without_fields", extra={"kind": type(record).__name__})
            return self._drop(denied_for(Doubt.REFUSED, "the record has no fields"))
        known = [name for name in held if name in self._categories]
        unlisted = frozenset(held) - self._keeps - frozenset(known)
        if not known:
            return self._counted(record, None, unlisted)
        data = tuple(dict.fromkeys(self._categories[name] for name in known))
        decision = await self._ask(record, data)
        if self._denied is WhenDenied.DROP and not decision.allow:
            return self._drop(decision)
        allowed = _allowed_of(decision, data)
        denied = {name for name in known if self._categories[name] not in allowed}
        return self._counted(record, decision, unlisted | denied)

    @property
    def counts(self) -> Counts:
        return Counts(
            passed=self._passed,
            masked=self._masked,
            dropped=self._dropped,
            reasons=dict(self._reasons),
            fields=dict(self._fields),
            waited=self._waited,
        )

    def _whole(self, record: R, decision: Decision) -> Weighed[R]:
        if not decision.allow:
            return self._drop(decision)
        self._passed += 1
        return Weighed(record, decision)

    def _drop(self, decision: Decision) -> Weighed[R]:
        self._dropped += 1
        self._reasons[decision.reason] += 1
        return Weighed(None, decision)

    def _counted(self, record: R, decision: Decision | None, hidden: frozenset[str]) -> Weighed[R]:
        if not hidden:
            self._passed += 1
            return Weighed(record, decision)
        self._masked += 1
        self._fields.update(hidden)
        if decision is not None and not decision.allow:
            self._reasons[decision.reason] += 1
        return Weighed(_without(record, hidden), decision)

    async def _ask(self, record: R, data: tuple[str, ...]) -> Decision:
        subject = _subject_of(self._subject, record)
        if subject is None:
            return denied_for(Doubt.REFUSED, "the record names no subject")
        request = msgspec.structs.replace(self._question.request(subject, record), data=data)
        decision = await ask_awaiting(self._checker, request)
        if not _worth_waiting(decision):
            return decision
        self._waited += 1
        for _ in range(self._tries - 1):
            await self._sleep(ASKED_AGAIN_AFTER_S)
            decision = await ask_awaiting(self._checker, request)
            if not _worth_waiting(decision):
                break
        return decision


def consent_filter(
    checker: Asked,
    *,
    purpose: str,
    operation: Operation | str,
    subject: Callable[[R], str | None],
    fields: Mapping[str, str] | None = None,
    keeps: Collection[str] = (),
    data: Names = (),
    denied: WhenDenied | str = WhenDenied.MASK,
    patience_ms: int = PATIENCE_MS,
    recipient: str | None = None,
    form: Form = Form.IDENTIFIABLE,
    active: bool | Callable[[R], bool] = False,
    joined_with_identity: bool | None = None,
    sleep: Sleep = asyncio.sleep,
) -> ConsentFilter[R]:
    """A filter of records by the consent of whom each is about.

    `fields` says which field holds which category of data, and `keeps` which fields hold none; all others are masked.
    A record is a mapping, a msgspec.Struct, a dataclass or a faust.Record, and is asked about what it holds: a field
    that is missing or None needs nobody's consent. Without `fields`, the whole record holds `data`, and is dropped if
    one of them is denied. Where the state is too old for an answer, a record is held back for up to `patience_ms`, and
    those behind it with it. A record without a subject is denied.
    """
    if (fields is None) == (not data):
        raise ConsentryError("a filter is told either fields or data", where="fields, data")
    when = WhenDenied(denied)
    if fields is None and when is WhenDenied.MASK:
        when = WhenDenied.DROP  # there is nothing that could be masked
    question = question_of(
        purpose=purpose,
        operation=operation,
        data=data or tuple(dict.fromkeys((fields or {}).values())),
        subject=subject,
        recipient=recipient,
        form=form,
        active=active,
        joined_with_identity=joined_with_identity,
    )
    return ConsentFilter(
        checker,
        question,
        subject=subject,
        categories=fields,
        keeps=keeps,
        denied=when,
        patience_ms=patience_ms,
        sleep=sleep,
    )


def dropped_at(topic: str, partition: int, offset: int, decision: Decision | None) -> Dropped:
    """What is told of a record that did not pass."""
    assert decision is not None  # nothing is dropped unasked
    doubt = decision.doubt if isinstance(decision, Answer) else None
    return Dropped(
        topic=topic, partition=partition, offset=offset, reason=decision.reason, clause=decision.clause, doubt=doubt
    )


def _subject_of(subject: Callable[[R], str | None], record: R) -> str | None:
    """A record that does not name whose it is, or not where it should, is nobody's: nobody has agreed."""
    try:
        named: object = subject(record)
    except (LookupError, AttributeError, TypeError, ValueError):
        return None
    return named if isinstance(named, str) and named else None


def _worth_waiting(decision: Decision) -> bool:
    if decision.allow or (isinstance(decision, Answer) and decision.doubt is Doubt.REFUSED):
        return False
    if decision.staleness_ms is None or decision.staleness_ms > FRESH_MS:
        return True
    return decision.reason in WORTH_WAITING or any(result.reason in WORTH_WAITING for result in decision.results)


def _allowed_of(decision: Decision, data: tuple[str, ...]) -> frozenset[str]:
    """The categories that are allowed each by itself; none where the answer is not about them."""
    if tuple(result.data for result in decision.results) != data:
        return frozenset()
    return frozenset(result.data for result in decision.results if result.allow)


def _fields_of(record: object) -> list[str] | None:
    """The names of what a record holds; None: it is of a kind that has none, and nothing of it may pass."""
    if isinstance(record, Mapping):
        found: Mapping[Any, Any] = record
    elif isinstance(record, msgspec.Struct):
        found = {name: getattr(record, name) for name in record.__struct_fields__}
    elif dataclasses.is_dataclass(record):
        found = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    elif hasattr(record, "asdict"):  # faust.Record
        found = record.asdict()
    else:
        return None
    return [name for name, value in found.items() if value is not None]


def _without(record: R, hidden: frozenset[str]) -> R:
    """A copy in which these fields are None."""
    blank: dict[str, Any] = dict.fromkeys(hidden)
    if isinstance(record, Mapping):
        return cast("R", {**record, **blank})
    if isinstance(record, msgspec.Struct):
        return cast("R", msgspec.structs.replace(record, **blank))
    if dataclasses.is_dataclass(record):
        return cast("R", dataclasses.replace(cast("Any", record), **blank))
    return cast("R", cast("Any", record).derive(**blank))
