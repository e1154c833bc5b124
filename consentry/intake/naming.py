"""The ids of an event: its own, and the keyed hashes that stand for persons and devices in the log. Pure."""

import re
from collections.abc import Iterator
from typing import Final
from uuid import UUID, uuid5

import msgspec

from consentry.events import (
    AnySubjectEvent,
    GuardianLinked,
    GuardianUnlinked,
    GuardianVerified,
    IdentityLinked,
    PermissionObserved,
)
from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.faults import Fault, refusal
from consentry.intake.subjects import fault_of_subject, is_hashed, stored_device, stored_subject
from consentry.settings import Settings
from consentry.terms import ActorRole

_IDEMPOTENT: Final = UUID("6a1c4a3e-7d0b-5c52-9d3f-2f6f0e1f8c11")
_QUARANTINED: Final = UUID("0f6d7a52-3f0d-5a86-8a0e-5b1d7f3c9e24")
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


def idempotent_id(caller: str, key: str, index: int | None = None) -> UUID:
    """The event_id that an Idempotency-Key stands for; `index`: the event's place in a list.

    Raises InvalidEvent (400) where the key is not 1 to 255 visible ASCII characters.
    """
    if not _KEY.fullmatch(key):
        fault = Fault(where="", what="the Idempotency-Key is not 1 to 255 visible ASCII characters", status=400)
        raise refusal([fault])
    return uuid5(_IDEMPOTENT, f"{caller}\n{key}" if index is None else f"{caller}\n{key}\n{index}")


def quarantine_id(source: str, subject: str) -> UUID:
    """The event_id of the SubjectQuarantined that the record at `source` causes: the same at each replay."""
    return uuid5(_QUARANTINED, f"{source}\n{subject}")


def with_stored_ids(event: AnySubjectEvent, settings: Settings) -> AnySubjectEvent:
    """The event with each person and device as the log holds them. The ids are known to be well-formed."""
    if not settings.subject_pepper:
        return event
    actor = event.actor
    if actor.role in (ActorRole.SUBJECT, ActorRole.GUARDIAN):
        actor = msgspec.structs.replace(actor, id=stored_subject(actor.id, settings))
    event = msgspec.structs.replace(event, subject=stored_subject(event.subject, settings), actor=actor)
    match event:
        case GuardianLinked() | GuardianVerified() | GuardianUnlinked():
            return msgspec.structs.replace(event, guardian=stored_subject(event.guardian, settings))
        case IdentityLinked():
            return msgspec.structs.replace(
                event,
                device=stored_subject(event.device, settings),
                account=stored_subject(event.account, settings),
            )
        case PermissionObserved(device=str(device)):
            return msgspec.structs.replace(event, device=stored_device(device, settings))
        case _:
            return event


def faults_of_actor(event: AnySubjectEvent, settings: Settings) -> Iterator[Fault]:
    """Whether the actor is who the role says: the subject itself, or the guardian that the event names."""
    actor = event.actor
    if actor.role is ActorRole.SUBJECT and not _is_same(actor.id, event.subject, settings):
        yield _refused("the actor is said to be the subject, and its id is another")
    if (
        actor.role is ActorRole.GUARDIAN
        and isinstance(event, GuardianLinked | GuardianUnlinked)
        and not _is_same(actor.id, event.guardian, settings)
    ):
        yield _refused("a guardian speaks for itself, and the event names another")
    if (
        bearing_of(event) is Bearing.LOOSENS
        and actor.role in (ActorRole.SUBJECT, ActorRole.GUARDIAN)
        and is_hashed(event.subject)
    ):
        yield Fault(
            where="/subject",
            what="what a person loosens names the person by the plain id",
            remedy="send the id as your service knows it; intake hashes it",
            status=403,
            code="PLAIN_ID_REQUIRED",
        )


def _is_same(name: str, known: str, settings: Settings) -> bool:
    """Whether `name` is the well-formed subject `known`, one of the two perhaps hashed already."""
    if name == known:
        return True
    return fault_of_subject(name, settings) is None and stored_subject(name, settings) == stored_subject(
        known, settings
    )


def _refused(what: str) -> Fault:
    return Fault(where="/actor/id", what=what, status=403, code="ACTOR_NOT_ALLOWED")
