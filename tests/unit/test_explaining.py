"""An answer told in sentences: each reason, duty, status and basis has its own, and nothing is added to the answer."""

from datetime import UTC, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consentry.authzen import (
    Action,
    AnswerContext,
    CheckContext,
    EvaluationAnswer,
    EvaluationRequest,
    Resource,
    Subject,
)
from consentry.decision import DatumResult, Duty, Prompt, Request
from consentry.policy import ALLOWING, parse_policy
from consentry.state.row import (
    Acceptance,
    Act,
    AgeStatement,
    CellBlock,
    Circumstances,
    Guardianship,
    Invocation,
    Scope,
    SubjectState,
)
from consentry.terms import ActorRole, AgeBand, AgeSource, Basis, Expression, Form, Operation, Reason, Status
from streams.explaining import (
    BASIS_WORDS,
    DUTY_WORDS,
    STATUS_WORDS,
    Background,
    explanation,
    heading_of,
    headline_of,
    question_of,
    spoken,
)
from streams.query.known_events import KnownEvent, known_events
from streams.wording import REASON_WORDS, all_of, moment

AT = 1_790_000_000_000
ID = "6f1f3c52-61d8-4a1c-a2c8-7a3d0a4f8e10"
POLICIES = Path(__file__).parents[2] / "examples" / "policies"
TEXT = (POLICIES / "privacy-policy.txt").read_text(encoding="utf-8")
DOCUMENT = (POLICIES / "reference-v1.yaml").read_text(encoding="utf-8")
QUESTION = EvaluationRequest(
    subject=Subject("account", "42"),
    action=Action("share"),
    resource=Resource("purpose", "ads"),
    context=CheckContext(data=("clicks", "likes"), recipient="agency", form=Form.DEIDENTIFIED),
)


def answer(reason: Reason = Reason.CONSENT, **changes: object) -> EvaluationAnswer:
    context = AnswerContext(
        reason=reason,
        clause="1.3.1.b",
        basis=None,
        status=Status.UNKNOWN,
        evidence=(),
        policy_version=1,
        position="e1.p0.o7",
        tightened_position=None,
        staleness_ms=3,
        engine_version="0",
        expires_at=None,
        obligations=(),
        prompt=Prompt(may_ask=False),
        results=(),
    )
    return EvaluationAnswer(decision=reason in ALLOWING, context=msgspec.structs.replace(context, **changes))


def told(found: EvaluationAnswer, **background: object) -> str:
    return "\n".join(explanation(QUESTION, found, msgspec.structs.replace(Background(), **background)))


def test_each_reason_duty_status_and_basis_has_its_words() -> None:
    assert REASON_WORDS.keys() == set(Reason)
    assert DUTY_WORDS.keys() == set(Duty)
    assert STATUS_WORDS.keys() == set(Status)
    assert BASIS_WORDS.keys() == set(Basis)
    assert [status for status, words in STATUS_WORDS.items() if not words] == [Status.UNKNOWN]


def test_no_two_reasons_or_duties_are_told_alike() -> None:
    for words in (REASON_WORDS, DUTY_WORDS, STATUS_WORDS, BASIS_WORDS):
        assert len(set(words.values())) == len(words)


@pytest.mark.parametrize("reason", list(Reason))
def test_each_reason_makes_whole_sentences(reason: Reason) -> None:
    headline, *sentences = explanation(QUESTION, answer(reason))
    assert headline == f"{'ALLOW' if reason in ALLOWING else 'DENY'}  {reason}  clause 1.3.1.b"
    may = "may" if reason in ALLOWING else "may not"
    asked = "share clicks and likes of account:42 with agency for ads in deidentified form"
    assert sentences[0] == f"You {may} {asked}: {REASON_WORDS[reason]}."


@given(
    st.sampled_from(Reason),
    st.sampled_from(Status),
    st.none() | st.sampled_from(Basis),
    st.lists(st.sampled_from(Duty), unique=True),
    st.none() | st.integers(0, 2**63 - 1),
    st.booleans(),
)
def test_every_sentence_is_whole_and_every_duty_is_told(
    reason: Reason, status: Status, basis: Basis | None, duties: list[Duty], at: int | None, may_ask: bool
) -> None:
    found = answer(
        reason,
        status=status,
        basis=basis,
        obligations=tuple(map(str, duties)),
        expires_at=at,
        prompt=Prompt(may_ask=may_ask, ask_after=None if may_ask else at),
    )
    headline, *sentences = explanation(QUESTION, found)
    assert headline == headline_of(found)
    assert all(sentence[0].isupper() and sentence[-1] in ".”" for sentence in sentences)
    assert sum(sentence.startswith("What follows for you: ") for sentence in sentences) == len(duties)
    assert STATUS_WORDS[status] in "\n".join(sentences)


def test_a_duty_of_a_newer_node_is_told_by_its_name() -> None:
    assert "What follows for you: sing." in told(answer(obligations=("sing",)))


# the clause


def test_the_clause_is_quoted_under_its_heading() -> None:
    text = told(answer(), text=TEXT)
    assert "Clause 1.3.1.b of version 1 of the policy, under “Posting of information”, says: “When you use" in text
    assert "Clause P-4 of version 1 of the policy says: “Precise geo" in told(answer(clause="P-4"), text=TEXT)


def test_a_heading_that_begins_the_wording_is_said_once() -> None:
    text = told(answer(clause="6.2.1"), text=TEXT)
    assert text.count("Processing of information for changing or withdrawing authorization") == 1
    assert "authorization”, says: “When you withdraw" in text


def test_a_clause_that_is_its_own_heading_is_said_once() -> None:
    assert "Clause 1.2 of version 1 of the policy says: “Information Browsing”" in told(answer(clause="1.2"), text=TEXT)


def test_a_clause_without_a_wording_is_named_all_the_same() -> None:
    assert "Clause 1.3.1.b of version 1 of the policy decides it." in told(answer())
    assert "No clause of the policy speaks of it" in told(answer(clause="", policy_version=None), text=TEXT)


@pytest.mark.parametrize(
    ("clause", "heading"),
    [
        ("7.a", "Terms and Conditions for Minors"),
        ("1.4", "Search"),
        ("3.1.2.a", "Shared information for implementing features or services"),
        ("1.3.9.z", "Publication and interaction"),
        ("P-1", ""),
        ("99.a", ""),
    ],
)
def test_a_heading_is_that_of_the_nearest_number_above(clause: str, heading: str) -> None:
    assert heading_of(clause, TEXT) == heading


def test_a_number_inside_the_text_is_no_second_heading() -> None:
    text = "1. How we collect\n\n1.1 Login\n\n1. is a number that a line may begin with"
    assert heading_of("1.a", text) == "How we collect"


def test_a_long_wording_is_cut_at_a_word() -> None:
    text = "1. Title\n\n" + "word " * 200
    assert told(answer(clause="1"), text=text).count("word") < 100
    assert "word …”" in told(answer(clause="1"), text=text)


@pytest.mark.parametrize(
    ("reason", "purpose", "asked", "says"),
    [
        (Reason.RECIPIENT_NOT_COVERED, "ads.delivery", {"recipient": "agency"}, "it names adnet and adx for this"),
        (Reason.RECIPIENT_NOT_COVERED, "search.service", {"recipient": "agency"}, "it names nobody for this"),
        (Reason.RECIPIENT_NOT_COVERED, "ads.delivery", {"recipient": "adx"}, ""),
        (Reason.IDENTIFIABLE_FORM, "ads.delivery", {}, "It asks for the form deidentified for this"),
        (Reason.IDENTIFIABLE_FORM, "search.service", {}, ""),
        (Reason.TRANSFER_MECHANISM_REQUIRED, "export.overseas", {}, "it lists security_assessment"),
        (Reason.TRANSFER_MECHANISM_REQUIRED, "export.overseas", {"transfer_mechanism": "security_assessment"}, ""),
        (Reason.RECIPIENT_NOT_COVERED, "no.such", {}, ""),
        (Reason.NO_CONSENT, "ads.delivery", {"recipient": "agency"}, ""),
    ],
)
def test_what_the_policy_lists_is_named_where_the_question_names_something_else(
    reason: Reason, purpose: str, asked: dict[str, str], says: str
) -> None:
    question = msgspec.structs.replace(
        QUESTION, resource=Resource("purpose", purpose), context=CheckContext(data=("profile_tags",), **asked)
    )
    policy = parse_policy(DOCUMENT)
    plain = list(explanation(question, answer(reason)))
    more = [each for each in explanation(question, answer(reason), Background(policy=policy)) if each not in plain]
    assert [says in each for each in more] == ([True] if says else [])


# the evidence, and time


def test_the_evidence_is_told_with_its_place_and_time_where_they_are_known() -> None:
    known = KnownEvent(event_id=ID, what="given by subject", position="e1.p0.o3", recorded_at=AT)
    found = answer(evidence=(ID, "another"))
    text = told(found, events=(known,))
    when = "Monday, 21 September 2026, 14:13:20 UTC"
    assert f"The evidence is event {ID} (given by subject), recorded at e1.p0.o3 on {when}." in text
    assert "The evidence is event another." in text


def test_time_is_told_in_local_words() -> None:
    beijing = timezone(timedelta(hours=8), "CST")
    assert spoken(AT, beijing) == "Monday, 21 September 2026, 22:13:20 CST"
    assert "Time alone changes this answer on Monday, 21 September 2026, 22:13:20 CST." in told(
        answer(expires_at=AT), zone=beijing
    )
    assert "The passing of time alone does not change this answer." in told(answer())


def test_a_time_beyond_every_calendar_is_told_too() -> None:
    assert spoken(2**63 - 1, UTC) == "a day beyond every calendar"
    assert moment(2**63 - 1) == f"{2**63 - 1} ms"


def test_whether_the_person_may_be_asked_is_told_of_a_deny_alone() -> None:
    assert "may be asked now" in told(answer(Reason.NO_CONSENT, prompt=Prompt(may_ask=True)))
    again = told(answer(Reason.REFUSED, prompt=Prompt(may_ask=False, ask_after=AT)))
    assert "may be asked again after Monday, 21 September 2026, 14:13:20 UTC, or when they start it" in again
    assert "There is nothing to ask the person now." in told(answer(Reason.OPTED_OUT))
    assert "Asking the person would not change it." in told(answer(Reason.GUARDIAN_REQUIRED))
    assert "ask" not in told(answer()).lower()


def test_of_several_data_each_is_told() -> None:
    results = (
        result("clicks", Reason.CONSENT, clause="3.1", status=Status.GIVEN),
        result("likes", Reason.REFUSED, clause="", status=Status.REFUSED),
    )
    text = told(answer(Reason.REFUSED, results=results))
    assert "\nclicks: allowed, the person agreed to it (clause 3.1)." in text
    assert "\nlikes: not allowed, the person refused." in text


def result(data: str, reason: Reason, *, clause: str, status: Status) -> DatumResult:
    allow = reason in ALLOWING
    return DatumResult(data=data, allow=allow, reason=reason, clause=clause, basis=None, status=status, evidence=())


def test_a_request_is_told_in_the_words_of_the_check_api_whole() -> None:
    request = Request(
        subject="account:42",
        operation=Operation.SHARE,
        purpose="ads",
        data=("clicks",),
        recipient="agency",
        form=Form.DEIDENTIFIED,
        active=True,
        device="d-1",
        transfer_mechanism="scc",
        joined_with_identity=False,
        scene="start",
        user_initiated=True,
    )
    context = question_of(request).context
    assert context is not None
    said = {name: getattr(context, name) for name in context.__struct_fields__}
    assert [name for name, value in said.items() if value is None] == ["min_position"]


# what stands in a row


def row() -> SubjectState:
    stamp = {"occurred_at": AT, "recorded_at": AT}
    scope = Scope(operations=(Operation.USE,), data=("phone",))
    act = Act(
        event_id=b"a" * 16,
        status=Status.GIVEN,
        actor_role=ActorRole.GUARDIAN,
        actor_id="account:g",
        expression=Expression.SEPARATE,
        policy_version=1,
        offset=5,
        valid_until=None,
        block=CellBlock("ads", (Operation.USE,), ("clicks",)),
        **stamp,
    )
    facts = Circumstances(
        ages=(
            AgeStatement(
                event_id=b"b" * 16,
                source=AgeSource.DECLARED,
                birth_date=None,
                band=AgeBand.MINOR,
                may_raise=True,
                offset=1,
                **stamp,
            ),
        ),
        guardianships=(
            Guardianship(guardian="account:g", linked_at=AT, verified_at=AT, verified_offset=3, verified_id=b"c" * 16),
        ),
        acceptances=(
            Acceptance(
                event_id=b"d" * 16,
                actor_role=ActorRole.GUARDIAN,
                actor_id="account:g",
                policy_version=1,
                offset=4,
                **stamp,
            ),
        ),
        invocations=(
            Invocation(event_id=b"e" * 16, code="a", legal_ref="order", valid_until=AT, offset=6, scope=scope, **stamp),
        ),
    )
    state = SubjectState.unknown("account:42", 1, 2)
    return msgspec.structs.replace(state, acts=(act, act), circumstances=facts)


def test_the_events_that_stand_in_a_row_are_known_by_place_and_once_each() -> None:
    events = known_events(row())
    assert [(event.position, event.what) for event in events] == [
        ("e1.p2.o1", "age said, declared"),
        ("e1.p2.o3", "guardian verified"),
        ("e1.p2.o4", "version 1 accepted by guardian"),
        ("e1.p2.o5", "given by guardian"),
        ("e1.p2.o6", "exemption a invoked"),
    ]


def test_all_that_a_row_holds_has_its_line() -> None:
    assert all_of(row())[2:] == (
        "guardian account:g linked, verified",
        "said to be of age band minor: declared",
        "policy version 1 accepted by guardian",
        "exemption a until 2026-09-21T14:13:20.000Z: use phone for any purpose",
    )
