"""Whether a guardian may do what an event says: tighten always, loosen once verified and of age, all else once linked.

Pure. A door that sees no rows takes what a guardian does. Either way `fold` judges it by the log.
"""

from collections.abc import Iterator

from consentry.decision.age import class_at
from consentry.events import AgeAsserted, AnySubjectEvent, GuardianLinked, GuardianVerified
from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.faults import Fault
from consentry.intake.rows import Rows
from consentry.policy import Policy
from consentry.state.guardians import guardianship_of, is_linked, is_verified
from consentry.state.row import MAX_GUARDIANSHIPS, SubjectState
from consentry.terms import ActorRole, AgeBand, AgeSource

_REMEDY = "if that was done a moment ago, send this again with ?min_position= and the position of that answer"


def faults_of_guardian(event: AnySubjectEvent, rows: Rows, policy: Policy, now: int) -> Iterator[Fault]:
    """What the rows have against the guardian who acts, or whom the event names. `policy` is the one in force."""
    if not rows.are_seen:
        return
    if isinstance(event, GuardianLinked | GuardianVerified):
        yield from _of_the_named(event, rows, policy, now)
    elif event.actor.role is ActorRole.GUARDIAN:
        yield from _of_the_actor(event, rows, policy, now)


def _of_the_named(event: GuardianLinked | GuardianVerified, rows: Rows, policy: Policy, now: int) -> Iterator[Fault]:
    if _is_known_to_be_minor(rows.met(event.guardian), policy, now):
        yield Fault(
            where="/guardian",
            what="a guardian is of age, and this one is known to be a minor",
            remedy="name one who is; if the age is wrong, have it verified first",
            code="GUARDIAN_IS_A_MINOR",
        )
    ward = rows.met(event.subject)
    if isinstance(event, GuardianVerified):
        if ward is None or not is_linked(ward, event.guardian):
            yield _refused("/guardian", "who is to be verified is not linked as a guardian", code="GUARDIAN_NOT_LINKED")
    elif ward is not None and guardianship_of(ward, event.guardian) is None and _has_no_room(ward):
        what = f"the subject has, or had, {MAX_GUARDIANSHIPS} guardians, and a row holds no more"
        yield Fault(where="/guardian", what=what, remedy="act through one of them", code="ROW_LIMIT")


def _of_the_actor(event: AnySubjectEvent, rows: Rows, policy: Policy, now: int) -> Iterator[Fault]:
    ward = rows.met(event.subject)
    if bearing_of(event) is Bearing.LOOSENS or _says_an_age(event):
        if _is_known_to_be_minor(rows.met(event.actor.id), policy, now):
            yield Fault(
                where="/actor/id",
                what="a guardian is of age, and this one is known to be a minor",
                remedy="if the age is wrong, have it verified first",
                code="GUARDIAN_IS_A_MINOR",
            )
        if ward is None or not is_verified(ward, event.actor.id):
            what = "a guardian loosens only once verified for this subject, and this one is not"
            yield _refused("/actor/id", what, code="GUARDIAN_NOT_VERIFIED")
    elif bearing_of(event) is Bearing.TIGHTENS:
        return  # the link may be on its way to this node, and what tightens is not lost to that
    elif rows.known(event.subject) is not None and not (ward is not None and is_linked(ward, event.actor.id)):
        yield _refused("/actor/id", "this guardian is not linked to the subject", code="GUARDIAN_NOT_LINKED")


def _says_an_age(event: AnySubjectEvent) -> bool:
    return isinstance(event, AgeAsserted) and event.source is AgeSource.GUARDIAN


def _is_known_to_be_minor(row: SubjectState | None, policy: Policy, now: int) -> bool:
    """By what was said of them: an age that is only assumed does not bar anybody."""
    found = None if row is None else row.circumstances
    if found is None or not (found.ages or any(each.first_verified_at >= 0 for each in found.guardianships)):
        return False
    return class_at(found, policy, now) is not AgeBand.ADULT


def _has_no_room(ward: SubjectState) -> bool:
    return ward.circumstances is not None and len(ward.circumstances.guardianships) >= MAX_GUARDIANSHIPS


def _refused(where: str, what: str, *, code: str) -> Fault:
    return Fault(where=where, what=what, remedy=_REMEDY, status=403, code=code)
