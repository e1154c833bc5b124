"""What a denied request is answered with: problem details (RFC 9457) with the reason and the clause."""

import msgspec

from consentry.decision import Decision
from consentry.terms import Reason

STATUS = 403
MEDIA_TYPE = "application/problem+json"
_encode = msgspec.json.Encoder().encode


class DeniedDetails(msgspec.Struct, frozen=True, kw_only=True):
    """It names no subject and no evidence."""

    type: str = "urn:consentry:problem:consent_denied"
    title: str = "Consent denied"
    status: int = STATUS
    code: str = "CONSENT_DENIED"
    detail: str
    reason: Reason
    clause: str
    """of the policy; empty where it names none, or could not be asked"""
    may_ask: bool
    """whether the person may be asked now"""
    ask_after: int | None
    """ms since the epoch: a refusal forbids to ask before it"""


def details_of(decision: Decision) -> DeniedDetails:
    clause = f" (clause {decision.clause})" if decision.clause else ""
    return DeniedDetails(
        detail=f"this may not be done with these data: {decision.reason}{clause}",
        reason=decision.reason,
        clause=decision.clause,
        may_ask=decision.prompt.may_ask,
        ask_after=decision.prompt.ask_after,
    )


def body_of(decision: Decision) -> bytes:
    return _encode(details_of(decision))
