"""What an event has to look like whatever the policy says: names, texts, times, ids."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from consentry.errors import ConsentryError
from consentry.events import (
    AccountClosed,
    AgeAsserted,
    AnySubjectEvent,
    ConsentGiven,
    ConsentReaffirmed,
    DataCollected,
    ExemptionInvoked,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    IdentityLinked,
    Notice,
    PermissionObserved,
    PreferenceSet,
    QuarantineReleased,
    RightsRequested,
    RightsResolved,
)
from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.faults import Fault
from consentry.intake.subjects import DEVICE, fault_of_device, fault_of_subject, kind_of, looks_like_contact
from consentry.intake.submission import UNNAMED, is_evidence
from consentry.settings import Settings
from consentry.terms import ActorRole, Position, Right

MAX_INT64: Final = 2**63 - 1
MAX_INT32: Final = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", re.ASCII)
_AGENT = re.compile(r"[A-Za-z0-9._~:/-]{1,128}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,8}", re.ASCII)
_SOURCE = re.compile(r"[A-Za-z0-9._:@-]{1,300}", re.ASCII)
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NAMES = ("purpose", "scene", "permission", "code")
_NAME_LISTS = ("data", "recipients")
_TEXTS = ("reason", "method", "relation", "legal_ref", "outcome", "topic", "request_id", "error")
_AGENTS = ("approver",)
_OLDEST_YEARS = 150
_AGENT_REMEDY = "1 to 128 of A-Z a-z 0-9 . _ ~ : / -"
_TIME_REMEDY = "ms since 1970-01-01T00:00:00Z"
_NAME_REMEDY = "1 to 128 of A-Z a-z 0-9 . _ ~ -"
_AHEAD_OF_UTC = timedelta(hours=14)


def made_safe(event: AnySubjectEvent) -> AnySubjectEvent:
    """The event without what must not get a tightening refused: clocks that are none, what it says to have seen.

    What the clock becomes hangs on nothing but the event, so that sent again it is the same; and it stays ahead where
    it was, for an age of a clock that is ahead must not raise. The fold counts nothing later than it was recorded.
    """
    if bearing_of(event) is not Bearing.TIGHTENS:
        return event
    if isinstance(event, PreferenceSet) and event.expected_position is not None:
        event = msgspec.structs.replace(event, expected_position=None)
    occurred_at = min(max(event.occurred_at, 1), MAX_INT64)
    sent_at = event.sent_at if event.sent_at is not None and 0 < event.sent_at <= MAX_INT64 else None
    return msgspec.structs.replace(event, occurred_at=occurred_at, sent_at=sent_at)


def faults_of_record(event: AnySubjectEvent) -> Iterator[Fault]:
    """Times that a record has no room for: who writes one itself cannot send them."""
    for field, value in (("occurred_at", event.occurred_at), ("sent_at", event.sent_at)):
        if value is not None and not -MAX_INT64 <= value <= MAX_INT64:
            yield Fault(where=f"/{field}", what="it is no time", remedy=_TIME_REMEDY)


def faults_of_shape(event: AnySubjectEvent, settings: Settings, now: int) -> Iterator[Fault]:
    """Everything wrong with `event` that can be seen without the policy, the caller and the row."""
    yield from _envelope(event, settings)
    yield from _actor(event, settings)
    yield from _words(event, settings)
    yield from _lists(event, settings)
    yield from _numbers(event)
    match event:
        case ConsentGiven() | ConsentReaffirmed():
            yield from _grant(event)
        case DataCollected():
            yield from _position("/decision_position", event.decision_position)
        case AgeAsserted():
            yield from _age(event, now)
        case PermissionObserved(device=str(device)):
            yield from _said("/device", fault_of_device(device, settings))
        case GuardianLinked() | GuardianVerified() | GuardianUnlinked():
            yield from _guardian("/guardian", event.guardian, event, settings)
        case IdentityLinked():
            yield from _identity(event, settings)
        case ExemptionInvoked(valid_until=until) if until <= event.occurred_at:
            yield Fault(where="/valid_until", what="it is not after occurred_at")
        case RightsRequested() if event.right is not Right.OBJECTION and _scope_of(event):
            yield Fault(where=_scope_of(event), what=f"only an objection has a scope, not {event.right}")
        case AccountClosed(identity_verified=False):
            yield Fault(
                where="/identity_verified",
                what="an account is closed only when the person's identity was verified",
                remedy="verify it first; until then send a RightsRequested of closure",
            )
        case RightsResolved(request=request) if request == UNNAMED:
            yield Fault(where="/request", what="the nil UUID names nothing")
        case QuarantineReleased() if not _SOURCE.fullmatch(event.position):
            yield Fault(where="/position", what="it is no record's position", remedy="copy it from the state")
        case _:
            return


def _envelope(event: AnySubjectEvent, settings: Settings) -> Iterator[Fault]:
    yield from _said("/subject", fault_of_subject(event.subject, settings))
    if event.skew_ms:
        yield Fault(where="/skew_ms", what="intake sets it", remedy="send sent_at instead")
    if event.evidence is not None and not is_evidence(event.evidence):
        yield Fault(where="/evidence", what="it is no reference of 1 to 256 of A-Z a-z 0-9 . _ ~ : / # -")


def _actor(event: AnySubjectEvent, settings: Settings) -> Iterator[Fault]:
    actor = event.actor
    if actor.role is ActorRole.SUBJECT:
        return  # who must be the subject: a matter of authority, see `take`
    if actor.role is ActorRole.GUARDIAN:
        yield from _guardian("/actor/id", actor.id, event, settings)
    elif not _AGENT.fullmatch(actor.id) or looks_like_contact(actor.id):
        yield Fault(where="/actor/id", what="it is no opaque id", remedy=_AGENT_REMEDY)


def _guardian(where: str, guardian: str, event: AnySubjectEvent, settings: Settings) -> Iterator[Fault]:
    fault = fault_of_subject(guardian, settings)
    yield from _said(where, fault)
    if fault is None and guardian == event.subject:
        yield Fault(where=where, what="nobody is their own guardian")
    if fault is None and kind_of(guardian) == DEVICE:
        yield Fault(where=where, what="a guardian is a person, not a device")


def _words(event: AnySubjectEvent, settings: Settings) -> Iterator[Fault]:
    for field in event.__struct_fields__:
        value = getattr(event, field)
        if not isinstance(value, str):
            continue
        if field in _NAMES and not _NAME.fullmatch(value):
            yield Fault(where=f"/{field}", what="it is no name", remedy=_NAME_REMEDY)
        elif field in _TEXTS:
            yield from _text(f"/{field}", value, settings)
        elif field in _AGENTS and (not _AGENT.fullmatch(value) or looks_like_contact(value)):
            yield Fault(where=f"/{field}", what="it is no opaque id", remedy=_AGENT_REMEDY)


def _text(where: str, value: str, settings: Settings) -> Iterator[Fault]:
    if not value.strip():
        yield Fault(where=where, what="it says nothing")
    elif len(value) > settings.max_text:
        yield Fault(where=where, what=f"{len(value)} characters", remedy=f"at the most {settings.max_text}")
    elif _NOT_TEXT.search(value):
        yield Fault(where=where, what="it holds control characters")


def _lists(event: AnySubjectEvent, settings: Settings) -> Iterator[Fault]:
    for field in ("operations", *_NAME_LISTS):
        names: tuple[str, ...] | None = getattr(event, field, None)
        if names is None:
            continue
        if not names:
            # an empty choice must never be widened to everything
            yield Fault(where=f"/{field}", what="an empty list names nothing", remedy="leave it out, or name some")
        elif len(names) > settings.max_names:
            remedy = f"at the most {settings.max_names}; left out it means every one"
            yield Fault(where=f"/{field}", what=f"{len(names)} names", remedy=remedy)
        for index, name in enumerate(names):
            if not _NAME.fullmatch(name):
                yield Fault(where=f"/{field}/{index}", what="it is no name", remedy=_NAME_REMEDY)


def _numbers(event: AnySubjectEvent) -> Iterator[Fault]:
    for field in ("occurred_at", "sent_at", "valid_until"):
        value = getattr(event, field, None)
        if value is not None and not 0 < value <= MAX_INT64:
            yield Fault(where=f"/{field}", what="it is no time", remedy=_TIME_REMEDY)
    version = getattr(event, "policy_version", None)
    if version is not None and not 1 <= version <= MAX_INT32:
        yield Fault(where="/policy_version", what="versions count from 1", code="POLICY_VERSION_UNKNOWN")
    expected = getattr(event, "expected_position", None)
    if expected is not None:
        yield from _position("/expected_position", expected)


def _grant(event: ConsentGiven | ConsentReaffirmed) -> Iterator[Fault]:
    if event.notice is not None:
        yield from _notice(event.notice)
    if event.valid_until is not None and event.valid_until <= event.occurred_at:
        yield Fault(where="/valid_until", what="it is not after occurred_at")


def _notice(notice: Notice) -> Iterator[Fault]:
    if not _HASH.fullmatch(notice.hash):
        yield Fault(where="/notice/hash", what="it is no SHA-256 of 64 lower-case hex digits")
    if not _LANGUAGE.fullmatch(notice.language):
        yield Fault(where="/notice/language", what="it is no language tag", remedy="such as zh-Hans or en")


def _position(where: str, text: str) -> Iterator[Fault]:
    try:
        Position.parse(text)
    except ConsentryError as fault:
        yield Fault(where=where, what=fault.what, remedy=fault.remedy)


def _age(event: AgeAsserted, now: int) -> Iterator[Fault]:
    if (event.birth_date is None) == (event.age_band is None):
        yield Fault(where="/birth_date", what="an age is a birth_date or an age_band, one of them")
    if event.birth_date is None:
        return
    today = (datetime.fromtimestamp(now / 1000, UTC) + _AHEAD_OF_UTC).date()
    try:
        born = date.fromisoformat(event.birth_date) if len(event.birth_date) == len("YYYY-MM-DD") else None
    except ValueError:
        born = None
    if born is None:
        yield Fault(where="/birth_date", what="it is no date", remedy="YYYY-MM-DD")
    elif not today.year - _OLDEST_YEARS <= born.year or born > today:
        yield Fault(where="/birth_date", what="it is in the future, or too long ago")


def _identity(event: IdentityLinked, settings: Settings) -> Iterator[Fault]:
    for field, name in (("device", event.device), ("account", event.account)):
        fault = fault_of_subject(name, settings)
        yield from _said(f"/{field}", fault)
        if fault is None and (kind_of(name) == DEVICE) is not (field == DEVICE):
            yield Fault(where=f"/{field}", what=f"it is of type {kind_of(name)}")
    if event.subject not in (event.device, event.account):
        yield Fault(where="/subject", what="it is neither the device nor the account that are linked")


def _scope_of(event: RightsRequested) -> str:
    """A pointer to the first part of a scope that is said; "" where none is."""
    parts = ("purpose", "operations", "data", "recipients")
    return next((f"/{part}" for part in parts if getattr(event, part) is not None), "")


def _said(where: str, fault: str | None) -> Iterator[Fault]:
    if fault is not None:
        yield Fault(where=where, what=fault)


def fault_of_clock(event: AnySubjectEvent, settings: Settings, now: int) -> Fault | None:
    """What loosens is refused when its (corrected) clock is too far ahead; what tightens never is."""
    if bearing_of(event) is not Bearing.LOOSENS or event.occurred_at <= now + settings.future_tolerance_ms:
        return None
    return Fault(
        where="/occurred_at",
        what=f"it is {event.occurred_at - now} ms ahead of our clock",
        remedy=f"at the most {settings.future_tolerance_ms}; send sent_at and the difference is corrected",
        code="CLOCK_AHEAD",
    )
