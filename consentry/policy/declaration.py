"""What must hold before something is declared to everybody: the service's end, another controller, an incident. Pure.

Answers that were given must stay re-derivable and must not have been wrong all along: so what ends an allowance takes
effect no earlier than it is said. A change of the controller that keeps the terms ends none, and an incident is past.
"""

from typing import assert_never
from uuid import UUID

import msgspec

from consentry.errors import InvalidPolicy
from consentry.events import ControllerChanged, IncidentDeclared, RecordedPolicyEvent, ServiceDiscontinued
from consentry.policy.history import Policies

AnyDeclaration = ServiceDiscontinued | ControllerChanged | IncidentDeclared
MAX_NAME = 128
MAX_REASON = 512
_NOBODYS = UUID(int=0)


def of_this_log(declaration: AnyDeclaration, policies: Policies) -> AnyDeclaration:
    """The declaration under the policy that the log holds. Raises InvalidPolicy where it holds none yet."""
    if not policies.revisions:
        raise InvalidPolicy(
            "no policy is published, so there is nothing that it could concern",
            where="policy-revisions",
            remedy="publish one: consentry policy publish",
        )
    return msgspec.structs.replace(declaration, policy=policies.revisions[-1].policy.id)


def standing_declaration(declaration: AnyDeclaration, policies: Policies) -> RecordedPolicyEvent | None:
    """The record that says the same already, whoever wrote it and when; saying it again adds nothing."""
    said = _words_of(declaration)
    for recorded in policies.declared:
        if not isinstance(recorded.event, type(declaration)):
            continue
        if _words_of(recorded.event) == said:
            return recorded
    return None


def check_declaration(declaration: AnyDeclaration, policies: Policies, now: int) -> None:
    """Whether it may be written at `now` (ms since the epoch, UTC). Raises InvalidPolicy."""
    match declaration:
        case ServiceDiscontinued():
            _check_ahead(declaration.effective_at, now, "answers that allowed since then would have been wrong")
            ends_at = policies.discontinued_at
            if ends_at is not None and ends_at <= declaration.effective_at:
                raise InvalidPolicy(
                    f"the service ends at {ends_at} (ms) already, and the earliest end counts",
                    where="effective_at",
                    remedy="an end that was declared is not taken back; name an earlier one, or leave it",
                )
        case ControllerChanged():
            if not 1 <= len(declaration.successor.strip()) <= MAX_NAME:
                raise InvalidPolicy(
                    "it is empty or too long", where="successor", remedy=f"who follows, 1 to {MAX_NAME} characters"
                )
            if not declaration.terms_kept:
                _check_ahead(declaration.effective_at, now, "consent that allowed since then would not have held")
        case IncidentDeclared():
            _check_incident(declaration, policies, now)
        case other:
            assert_never(other)


def _check_ahead(effective_at: int, now: int, because: str) -> None:
    if effective_at < now:
        raise InvalidPolicy(
            f"it would take effect {now - effective_at} ms ago, which rewrites history: {because}",
            where="effective_at",
            remedy="name a time that is still to come",
        )


def _check_incident(incident: IncidentDeclared, policies: Policies, now: int) -> None:
    known = {datum for revision in policies.revisions for datum in revision.policy.data}
    unknown = [datum for datum in incident.data if datum not in known]
    if not incident.data or unknown:
        what = f"{', '.join(unknown)}: no version of the policy names this" if unknown else "no data are named"
        raise InvalidPolicy(what, where="data", remedy="name the data categories of the policy that are affected")
    if not incident.from_at < incident.to_at:
        raise InvalidPolicy("it ends no later than it begins", where="to", remedy="from comes before to")
    if incident.to_at > now:
        raise InvalidPolicy(
            f"it ends {incident.to_at - now} ms from now, and nobody can know that yet",
            where="to",
            remedy="one that lasts is declared up to now, and once more when it is over",
        )
    if len(incident.reason) > MAX_REASON:
        raise InvalidPolicy("it is too long", where="reason", remedy=f"{MAX_REASON} characters at the most")


def _words_of(declaration: AnyDeclaration) -> AnyDeclaration:
    return msgspec.structs.replace(declaration, event_id=_NOBODYS, occurred_at=0, producer="")
