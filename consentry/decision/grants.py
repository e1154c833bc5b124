"""Whether a grant holds, and if not, why: what it was given for, under which version, and until when. Pure."""

import msgspec

from consentry.decision.age import Age
from consentry.policy import Policies
from consentry.state.row import Act
from consentry.terms import Cell, Expression, Reason, Status

# Looked up once: an enum's attribute costs a check several times what a name costs.
_GIVEN, _CONSENT, _SEPARATE = Status.GIVEN, Reason.CONSENT, Expression.SEPARATE

STATUS_OF_LACK = {
    Reason.EXPIRED: Status.EXPIRED,
    Reason.RECONSENT_DUE: Status.RECONSENT_DUE,
    Reason.PENDING_GUARDIAN: Status.PENDING_GUARDIAN,
    Reason.PENDING_SUBJECT: Status.REQUESTED,
    Reason.SEPARATE_CONSENT_REQUIRED: Status.GIVEN,
}
ORDER_OF_LACKS = (
    Reason.EXPIRED,
    Reason.RECONSENT_DUE,
    Reason.PENDING_GUARDIAN,
    Reason.PENDING_SUBJECT,
    Reason.SEPARATE_CONSENT_REQUIRED,
)
"""Of several reasons the first here."""


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How a cell stands. `reason` is CONSENT, or why consent does not hold."""

    reason: Reason
    status: Status
    evidence: tuple[bytes, ...] = ()
    """ids of the events that made it so"""
    expires_at: int | None = None
    """before it, time alone changes nothing of this"""
    reaffirm_due: bool = False
    """it was given for a minor who has come of age since"""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """The cell that is asked about, and what a grant of it has to fulfil to hold."""

    cell: Cell
    version: int
    """the one in force: what changed after a grant was given, up to it, may ask again"""
    only_separately: bool
    protects_minors: bool
    policies: Policies
    age: Age | None
    """None: an adult all along"""


class Lack(msgspec.Struct, frozen=True, gc=False):
    """Why a grant, or a half of what a minor needs, does not hold."""

    reason: Reason
    grant: Act


Grants = list[Act]


def strongest(grants: Grants, terms: Terms, now: int) -> Standing:
    holding: Act | None = None
    for grant in grants:
        if lack_of(grant, terms, now) is None and (holding is None or _strength(grant) > _strength(holding)):
            holding = grant
    if holding is None:
        lacks = [Lack(lack, grant) for grant in grants if (lack := lack_of(grant, terms, now)) is not None]
        return first_of(lacks, terms, now)
    return Standing(_CONSENT, _GIVEN, (holding.event_id,), changes_at(holding, terms.policies, now))


def first_of(lacks: list[Lack], terms: Terms, now: int) -> Standing:
    """Why none of the grants holds: the first reason in the order of reasons, of the last grant that has it."""
    first = min(lacks, key=lambda lack: (ORDER_OF_LACKS.index(lack.reason), -lack.grant.offset))
    changes = [at for lack in lacks if (at := changes_at(lack.grant, terms.policies, now)) is not None]
    return Standing(first.reason, STATUS_OF_LACK[first.reason], (first.grant.event_id,), min(changes, default=None))


def _strength(grant: Act) -> tuple[bool, int]:
    return (grant.expression is _SEPARATE, grant.offset)


def is_over(grant: Act, now: int) -> bool:
    return grant.valid_until is not None and now >= grant.valid_until  # half-open: at valid_until it is over


def lack_of(grant: Act, terms: Terms, now: int) -> Reason | None:
    if is_over(grant, now):
        return Reason.EXPIRED
    version = grant.policy_version
    if version != terms.version and (
        not 1 <= version < terms.version or terms.policies.material_since(terms.cell, version, terms.version)
    ):
        return Reason.RECONSENT_DUE
    for change in terms.policies.controller_changes:
        if not change.terms_kept and grant.occurred_at < change.effective_at <= now:
            return Reason.RECONSENT_DUE  # another controller, on other terms
    if terms.only_separately and grant.expression is not _SEPARATE:
        return Reason.SEPARATE_CONSENT_REQUIRED
    return None


def changes_at(grant: Act, policies: Policies, now: int) -> int | None:
    first = grant.valid_until
    if first is not None and first <= now:
        first = None
    for change in policies.controller_changes:
        if not change.terms_kept and change.effective_at > now and (first is None or change.effective_at < first):
            first = change.effective_at
    return first
