"""From a request's body to typed events: whatever the bytes are, a fault names the field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.taking import SETTINGS, SUBJECT, body_of

from consentry.errors import InvalidEvent
from consentry.events import ConsentWithdrawn
from consentry.intake import parse_submission
from consentry.settings import Settings


def fault_of(body: bytes | object, settings: Settings = SETTINGS) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        parse_submission(body, settings)
    return caught.value


def test_one_event_and_a_list_of_it_say_the_same() -> None:
    body = body_of("ConsentWithdrawn")
    (alone,) = parse_submission(json.dumps(body).encode(), SETTINGS)
    (listed,) = parse_submission(json.dumps([body]).encode(), SETTINGS)
    assert alone.event == listed.event
    assert isinstance(alone.event, ConsentWithdrawn)
    assert (alone.place, listed.place) == ("", "/0")


def test_an_event_id_may_be_left_out() -> None:
    (unnamed,) = parse_submission(body_of("ConsentWithdrawn"), SETTINGS)
    (named,) = parse_submission(body_of("ConsentWithdrawn", event_id="6f1f3c52-61d8-4a1c-a2c8-7a3d0a4f8e10"), SETTINGS)
    assert not unnamed.is_named
    assert named.is_named


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"{", b"[" * 100_000, b'{"a": NaN}', b'{"a": "\xff"}'])
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    fault = fault_of(body)
    assert (fault.status, fault.code) == (400, "INVALID_JSON")


@pytest.mark.parametrize("body", [None, 3, "an event", True])
def test_json_that_is_no_object_is_refused(body: object) -> None:
    assert fault_of(json.dumps(body).encode()).status == 422


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"extra": 1}, "/extra"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"actor": {"role": "subject", "id": SUBJECT, "name": "Li"}}, "/actor/name"),
        ({"actor": {"role": "king", "id": SUBJECT}}, "/actor/role"),
        ({"actor": ...}, "/actor"),
        ({"subject": 7}, "/subject"),
        ({"occurred_at": "now"}, "/occurred_at"),
        ({"occurred_at": True}, "/occurred_at"),
        ({"occurred_at": 1.5}, "/occurred_at"),
        ({"operations": ["collect", "borrow"]}, "/operations/1"),
        ({"operations": "collect"}, "/operations"),
        ({"event_id": "seven"}, "/event_id"),
        ({"event_id": "00000000-0000-0000-0000-000000000000"}, "/event_id"),
        ({"type": "ConsentForgotten"}, "/type"),
        ({"type": ...}, "/type"),
        ({"skew_ms": 0}, "/skew_ms"),
        ({"evidence": "two words"}, "/evidence"),
        ({"evidence": ""}, "/evidence"),
        ({"evidence": 5}, "/evidence"),
        ({"evidence": "x" * 257}, "/evidence"),
    ],
)
def test_a_fault_names_the_field(changes: dict[str, Any], where: str) -> None:
    fault = fault_of(body_of("ConsentWithdrawn", **changes))
    assert fault.status == 422
    assert [problem.where for problem in fault.problems] == [where]


def test_every_field_that_is_missing_is_named_with_what_belongs_there() -> None:
    fault = fault_of({"type": "ConsentGiven", "subject": SUBJECT, "policy_version": "one"})
    missing = [problem for problem in fault.problems if problem.what == "it is missing"]
    assert {problem.where for problem in missing} == {"/occurred_at", "/actor", "/channel", "/purpose", "/expression"}
    assert all(problem.remedy for problem in missing)
    assert missing[0].remedy == "when it happened: ms since the epoch, UTC"


def test_a_wrong_field_is_named_beside_those_that_are_missing() -> None:
    fault = fault_of({"type": "ConsentWithdrawn", "subject": 7, "occurred_at": 1, "actor": {"role": "subject"}})
    assert [problem.where for problem in fault.problems] == ["/subject", "/channel"]


def test_a_field_that_is_missing_within_another_has_a_remedy_too() -> None:
    (problem,) = fault_of(body_of("ConsentWithdrawn", actor={"role": "subject"})).problems
    assert (problem.where, problem.remedy) == ("/actor/id", "it cannot be left out")


@pytest.mark.parametrize("kind", [["a"], {}, 7, None, "ConsentForgotten"])
def test_a_type_that_is_none_is_the_one_fault_named(kind: object) -> None:
    assert [problem.where for problem in fault_of({"type": kind}).problems] == ["/type"]


def test_a_notice_with_an_unknown_field_is_refused() -> None:
    notice = {"hash": "0" * 64, "language": "en", "text": "..."}
    assert fault_of(body_of("ConsentGiven", notice=notice)).problems[0].where == "/notice/text"


def test_evidence_is_kept_as_the_reference_that_it_is() -> None:
    (submission,) = parse_submission(body_of("ConsentWithdrawn", evidence="vault:records/7#page-2"), SETTINGS)
    assert submission.event.evidence == b"vault:records/7#page-2"


def test_each_faulty_item_of_a_list_is_named() -> None:
    fault = fault_of([body_of("ConsentWithdrawn", extra=1), body_of("ConsentWithdrawn"), 7])
    assert [problem.where for problem in fault.problems] == ["/0/extra", "/2"]


def test_a_list_may_be_as_long_as_the_limit_and_no_longer() -> None:
    settings = Settings(max_batch=3)
    event = body_of("ConsentWithdrawn")
    assert len(parse_submission([event] * 3, settings)) == 3
    assert fault_of([event] * 4, settings).status == 422
    assert fault_of([], settings).status == 422


@given(st.binary())
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    with pytest.raises(InvalidEvent):
        parse_submission(body, SETTINGS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(body_of("ConsentGiven"))), json_values)
def test_no_value_of_a_field_raises_anything_else(field: str, value: object) -> None:
    try:
        submissions = parse_submission({**body_of("ConsentGiven"), field: value}, SETTINGS)
    except InvalidEvent:
        return
    assert len(submissions) == 1
