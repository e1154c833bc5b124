"""At which step each reason is found for a data category, and what is told with it. The earlier step leads."""

from typing import Any

import msgspec
import pytest
from unit.rows import (
    AFTER,
    BORN,
    MUM,
    SUBJECT,
    acceptance,
    at,
    grant,
    invocation,
    mark,
    opt_out,
    policy,
    row,
    said,
    verified,
)
from unit.story import DOCUMENT, first_version, published

from consentry.decision import Request, View, decide
from consentry.decision.age import age_of
from consentry.decision.steps import Case, Finding, text_of, weigh
from consentry.policy import Policies
from consentry.state.row import CellBlock, Circumstances, Permission, Scope, SubjectState
from consentry.terms import (
    AgeBand,
    Basis,
    Expression,
    Form,
    Operation,
    PermissionState,
    Position,
    Reason,
    Status,
)

HOUR, DAY = 3_600_000, 86_400_000
COLLECT, STORE, USE, SHARE, EXPORT = (
    Operation.COLLECT,
    Operation.STORE,
    Operation.USE,
    Operation.SHARE,
    Operation.EXPORT,
)
GENDER = ("account.profile", USE, "gender")
CAMERA = ("publish.camera", COLLECT, "camera_image")
CROWD = ("partner.statistics", SHARE, "crowd_profile")
ANONYMOUS = {"form": Form.ANONYMISED, "joined_with_identity": False}
EXEMPTED = Circumstances(invocations=(invocation("c", at(50)),))
GIVEN = row(acts=(grant(SUBJECT, at(100), valid_until=AFTER + 5),))
CHILD = Circumstances(ages=(said(BORN.replace(year=2020), 1),))
SEEN = Permission(
    event_id=b"p" * 16, name="camera", device="d", state=PermissionState.OFF, recorded_at=9, offset=9, off_at=9
)


def found(
    what: tuple[str, Operation, str],
    known: SubjectState | None = None,
    staleness_ms: int | None = 100,
    ended: Reason | None = None,
    unknown_age: AgeBand = AgeBand.ADULT,
    **request: Any,
) -> Finding:
    purpose, operation, datum = what
    terms = policy(unknown_age)
    asked = Request(subject=SUBJECT, operation=operation, purpose=purpose, data=(datum,), **request)
    age = age_of(None if known is None else known.circumstances, terms)
    view = View(known, Position(1, 3, 1_000), staleness_ms)
    line = terms.purposes[purpose]
    return weigh(Case(asked, view, known, first_version(), terms, line, age, 1, ended, AFTER), datum)


CLOSED = {"ended": Reason.SUBJECT_CLOSED}
DISCONTINUED = {"ended": Reason.SERVICE_DISCONTINUED}
WITHDRAWN = row(marks=(mark(SUBJECT, at(100)),))
OBJECTED = row(opt_outs=(opt_out(SUBJECT, 100, "recommendation.city"),))
WARDED = Circumstances(ages=CHILD.ages, guardianships=(verified(2),), acceptances=(acceptance(MUM, at(3)),))
STOPPED = row(WARDED, marks=(mark(MUM, at(100)),))
SEPARATE = {"expression": Expression.SEPARATE}


@pytest.mark.parametrize(
    ("what", "known", "more", "expected"),
    [
        (GENDER, row(EXEMPTED), CLOSED, Finding(2, Reason.SUBJECT_CLOSED, status=Status.CLOSED)),
        (GENDER, row(EXEMPTED), DISCONTINUED, Finding(2, Reason.SERVICE_DISCONTINUED, status=Status.UNKNOWN)),
        (
            GENDER,
            row(EXEMPTED),
            {"staleness_ms": HOUR},
            Finding(
                3, Reason.EXEMPT, allow=True, clause="1.9.c", basis=Basis.EXEMPTION,
                evidence=(text_of(b"i" * 16),), expires_at=10**15,
            ),
        ),
        (GENDER, row(EXEMPTED), {"staleness_ms": HOUR + 1}, Finding(3, Reason.STALE, expires_at=10**15)),
        (("account.profile", USE, "phone"), None, {}, Finding(4, Reason.DATA_NOT_COVERED)),
        (("account.profile", SHARE, "gender"), None, {}, Finding(4, Reason.DATA_NOT_COVERED)),
        (GENDER, None, {"recipient": "gamehub"}, Finding(4, Reason.RECIPIENT_NOT_COVERED)),
        (CROWD, None, {}, Finding(4, Reason.RECIPIENT_NOT_COVERED)),
        (CROWD, None, {"recipient": "statco"}, Finding(4, Reason.IDENTIFIABLE_FORM)),
        (
            ("export.overseas", EXPORT, "behaviour"),
            None,
            {"recipient": "cloud-sg"},
            Finding(4, Reason.TRANSFER_MECHANISM_REQUIRED),
        ),
        (
            ("security.operation", USE, "service_log"),
            None,
            ANONYMOUS,
            Finding(5, Reason.NOT_PERSONAL_DATA, allow=True, clause="1.6.2.a"),
        ),
        (CROWD, None, {"recipient": "statco", "staleness_ms": 2_001, **ANONYMOUS}, Finding(5, Reason.STALE)),
        (
            CROWD,
            row(quarantined=("x",)),
            {"recipient": "statco", **ANONYMOUS},
            Finding(5, Reason.QUARANTINED),
        ),
        (
            ("recommendation.city", USE, "ip_city"),
            OBJECTED,
            {},
            Finding(6, Reason.OPTED_OUT, evidence=(text_of(b"o" * 16),)),
        ),
        (GENDER, None, {"unknown_age": AgeBand.MINOR}, Finding(7, Reason.GUARDIAN_REQUIRED)),
        (GENDER, row(CHILD), {}, Finding(7, Reason.GUARDIAN_REQUIRED)),
        (GENDER, STOPPED, {}, Finding(7, Reason.GUARDIAN_REQUIRED, evidence=(text_of(b"m" * 16),))),
        (CAMERA, None, {}, Finding(8, Reason.FEATURE_NOT_ACTIVE, consent_missing=True)),
        (CAMERA, None, {"active": True}, Finding(8, Reason.PERMISSION_OFF, consent_missing=True)),
        (
            CAMERA,
            row(permissions=(SEEN,)),
            {"active": True},
            Finding(8, Reason.PERMISSION_OFF, evidence=(text_of(b"p" * 16),), consent_missing=True),
        ),
        (
            ("search.service", USE, "search_log"),
            None,
            {"staleness_ms": DAY},
            Finding(9, Reason.NECESSARY, allow=True, clause="1.4", basis=Basis.NECESSITY),
        ),
        (("search.service", USE, "search_log"), None, {"staleness_ms": DAY + 1}, Finding(9, Reason.STALE)),
        (GENDER, None, {}, Finding(10, Reason.NO_CONSENT, consent_missing=True)),
        (
            GENDER,
            WITHDRAWN,
            {},
            Finding(
                10, Reason.WITHDRAWN, status=Status.WITHDRAWN, evidence=(text_of(b"m" * 16),), consent_missing=True
            ),
        ),
        (
            GENDER,
            row(WARDED, acts=(grant(SUBJECT, at(100), **SEPARATE),)),
            {},
            Finding(
                10, Reason.PENDING_GUARDIAN, status=Status.PENDING_GUARDIAN, evidence=(text_of(b"g" * 16),)
            ),
        ),
        (
            GENDER,
            GIVEN,
            {"staleness_ms": 2_000},
            Finding(
                11, Reason.CONSENT, allow=True, clause="1.1.1.a", basis=Basis.CONSENT, status=Status.GIVEN,
                evidence=(text_of(b"g" * 16),), expires_at=AFTER + 5,
            ),
        ),
        (
            GENDER,
            GIVEN,
            {"staleness_ms": 2_001},
            Finding(11, Reason.STALE, status=Status.GIVEN, expires_at=AFTER + 5),
        ),
    ],
    ids=lambda value: f"{value.step}-{value.reason}" if isinstance(value, Finding) else None,
)  # fmt: skip
def test_each_reason_is_found_at_its_step_and_tells_what_it_rests_on(
    what: tuple[str, Operation, str], known: SubjectState | None, more: dict[str, Any], expected: Finding
) -> None:
    assert found(what, known, **more) == expected


# A purpose that the version in force no longer has, and that the former one knows


def second(document: str) -> Policies:
    """The reference policy, and after it this document as a version that reduces a right, in force a second later."""
    revised = document.replace("version: 1\n", "version: 2\n", 1).replace("T00:00:00Z", "T00:00:01Z")
    reducing = revised.replace("strict_purpose_change: true", "strict_purpose_change: false")
    policies = published(first_version(), reducing, now=first_version().revisions[0].effective_at - 30 * DAY)
    assert policies.reducing
    return policies


def changed(old: str, new: str) -> str:
    assert DOCUMENT.count(old) == 1
    return DOCUMENT.replace(old, new)


WITHOUT_PROFILE = "".join(line for line in DOCUMENT.splitlines(keepends=True) if "account.profile:" not in line)


@pytest.mark.parametrize(
    ("more", "staleness_ms", "reason"),
    [
        ({"circumstances": EXEMPTED}, HOUR + 1, Reason.PURPOSE_UNKNOWN),
        ({"closed_at": 500}, 100, Reason.SUBJECT_CLOSED),
    ],
)
def test_what_no_version_but_the_former_knows_is_unknown_unless_the_former_denies_as_early(
    more: dict[str, Any], staleness_ms: int, reason: Reason
) -> None:
    policies = second(WITHOUT_PROFILE)
    in_force = policies.revisions[1].effective_at
    known = row(first_act_at=1, **more)
    asked = Request(subject=SUBJECT, operation=USE, purpose="account.profile", data=("gender",))
    answer = decide(View(known, Position(1, 3, 1_000), staleness_ms), policies, asked, in_force)
    assert (answer.reason, answer.policy_version) == (reason, 2)


# What is told for each data category, and of a clause that the policy does not name


def test_each_data_category_is_told_with_its_own_reason_status_and_evidence() -> None:
    asked = Request(subject=SUBJECT, operation=USE, purpose="account.profile", data=("gender", "region"))
    answer = decide(View(GIVEN, Position(1, 3, 1_000), 100), first_version(), asked, AFTER)
    told = [msgspec.structs.astuple(one) for one in answer.results]
    assert told == [
        ("gender", True, Reason.CONSENT, "1.1.1.a", Basis.CONSENT, Status.GIVEN, (text_of(b"g" * 16),)),
        ("region", False, Reason.NO_CONSENT, "P-1", None, Status.UNKNOWN, ()),
    ]
    assert (answer.reason, answer.status) == (Reason.NO_CONSENT, Status.UNKNOWN)


def test_a_reason_for_which_the_policy_names_no_clause_has_none() -> None:
    (period, *others) = first_version().periods
    assert period.policy is not None
    bare = msgspec.structs.replace(period, policy=msgspec.structs.replace(period.policy, clause_of={}))
    policies = msgspec.structs.replace(first_version(), periods=(bare, *others))
    asked = Request(subject=SUBJECT, operation=USE, purpose="account.profile", data=("gender",))
    answer = decide(View(None, Position(1, 3, 1_000), 100), policies, asked, AFTER)
    assert (answer.reason, answer.clause, answer.results[0].clause) == (Reason.NO_CONSENT, "", "")


# May the person be asked


def prompted(
    what: tuple[str, Operation, tuple[str, ...]],
    known: SubjectState | None = None,
    staleness_ms: int | None = 100,
    policies: Policies | None = None,
    now: int = AFTER,
    **request: Any,
) -> bool:
    purpose, operation, data = what
    asked = Request(subject=SUBJECT, operation=operation, purpose=purpose, data=data, **request)
    view = View(known, Position(1, 3, 1_000), staleness_ms)
    return decide(view, policies or first_version(), asked, now).prompt.may_ask


PROFILE = ("account.profile", USE, ("gender",))
FILMED = ("publish.camera", COLLECT, ("camera_image",))
FILM = CellBlock("publish.camera", (COLLECT,), ("camera_image",))


@pytest.mark.parametrize(("staleness_ms", "may_ask"), [(2_000, True), (2_001, False), (None, False)])
def test_who_sees_too_old_a_row_does_not_ask(staleness_ms: int | None, may_ask: bool) -> None:
    assert prompted(PROFILE, staleness_ms=staleness_ms) is may_ask
    assert prompted(PROFILE, row(), staleness_ms) is may_ask
    assert not prompted(PROFILE, row(quarantined=("x",)), staleness_ms)


def test_a_consent_is_asked_for_where_it_is_missing_beside_what_else_is() -> None:
    assert prompted(FILMED)
    assert prompted(FILMED, active=True)
    given = row(acts=(grant(SUBJECT, at(100), block=FILM, **SEPARATE),))
    assert not prompted(FILMED, given)
    waiting = row(WARDED, acts=(grant(SUBJECT, at(100), block=FILM, **SEPARATE),))
    assert not prompted(FILMED, waiting), "the person has done what the person can"


def test_what_needs_no_consent_is_never_asked_for() -> None:
    policies = published(
        Policies(), changed('search.service: {clause: "1.4",', 'search.service: {clause: "1.4", active: true,')
    )
    assert not prompted(("search.service", COLLECT, ("search_log",)), policies=policies)
    assert not prompted(("account.profile", USE, ("phone",)))
    assert not prompted(("no.such.purpose", USE, ("phone",)))


def test_one_data_category_that_lacks_a_consent_is_asked_for_beside_one_that_does_not() -> None:
    assert prompted(("account.profile", USE, ("gender", "region")), GIVEN)
    assert not prompted(("account.profile", USE, ("gender", "phone")), GIVEN)


def test_of_two_versions_the_one_in_force_says_whether_to_ask() -> None:
    policies = second(DOCUMENT)
    now = policies.revisions[1].effective_at
    assert prompted(PROFILE, row(first_act_at=1), policies=policies, now=now)


def test_several_data_that_are_no_personal_data_are_allowed_together() -> None:
    asked = Request(
        subject=SUBJECT, operation=USE, purpose="security.operation", data=("service_log", "service_log"), **ANONYMOUS
    )
    answer = decide(View(None, Position(1, 3, 1_000), 100), first_version(), asked, AFTER)
    assert (answer.allow, answer.reason) == (True, Reason.NOT_PERSONAL_DATA)


@pytest.mark.parametrize("operation", [USE, STORE])
def test_a_closed_account_stays_closed_when_its_subject_comes_of_age(operation: Operation) -> None:
    asked = Request(subject=SUBJECT, operation=operation, purpose="account.profile", data=("gender",))
    known = row(CHILD if operation is USE else None, closed_at=500)
    answer = decide(View(known, Position(1, 3, 1_000), 100), first_version(), asked, AFTER)
    assert (answer.reason, answer.status, answer.expires_at) == (Reason.SUBJECT_CLOSED, Status.CLOSED, None)


def test_an_exemption_keeps_stored_what_it_names_after_the_account_is_closed() -> None:
    scope = Scope("", (STORE,), ("gender",))
    kept = row(Circumstances(invocations=(invocation("c", at(50), scope=scope),)))
    assert found(("account.profile", STORE, "gender"), kept, **CLOSED).reason is Reason.EXEMPT
