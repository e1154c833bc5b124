"""What the client believes: an ALLOW only if all of the answer says so, of the very question that was asked."""

import asyncio
from typing import Any

import msgspec
import pytest
from contract.in_memory import Node, act, grant, question
from hypothesis import given
from hypothesis import strategies as st

from consentry.answers import Doubt
from consentry.client.reading import Doubtful, read_answer, read_answers
from consentry.decision import Request
from consentry.policy import ALLOWING
from consentry.terms import Operation, Position, Reason

REQUEST = Request(
    subject="account:u-1", operation=Operation.USE, purpose="recommendation.personalised", data=("behaviour",)
)


async def allowed_answer() -> dict[str, Any]:
    """What a node really answers."""
    node = Node()
    await node.record(grant())
    answer: dict[str, Any] = (await node.ask(question())).json()
    assert answer["decision"] is True
    return answer


def doubt_about(answer: object, request: Request = REQUEST) -> Doubt | None:
    try:
        read = read_answer(msgspec.json.encode(answer), request)
    except Doubtful as fault:
        return fault.doubt
    assert not read.allow, "an answer that must not be believed was"
    return None


async def test_an_answer_reads_as_the_decision_that_the_node_took() -> None:
    answer = await allowed_answer()
    read = read_answer(msgspec.json.encode(answer), REQUEST)
    context = answer["context"]
    assert (read.allow, read.reason, read.doubt) == (True, Reason.CONSENT, None)
    assert (read.clause, list(read.evidence)) == (context["clause"], context["evidence"])
    assert str(read.position) == context["position"]
    assert read.expires_at == context["expires_at"]
    assert [result.data for result in read.results] == ["behaviour"]


async def test_without_any_one_of_its_fields_an_answer_allows_nothing() -> None:
    answer = await allowed_answer()
    defaulted = {"warnings"}
    for name in answer["context"].keys() - defaulted:
        rest = {key: value for key, value in answer["context"].items() if key != name}
        assert doubt_about({"decision": True, "context": rest}) is Doubt.UNREADABLE, name
    assert doubt_about({"context": answer["context"]}) is Doubt.UNREADABLE
    assert doubt_about({"decision": True}) is Doubt.UNREADABLE


@pytest.mark.parametrize("decision", ["true", 1, None, "ALLOW", [True], {}])
async def test_a_decision_that_is_not_true_is_none(decision: object) -> None:
    answer = await allowed_answer()
    assert doubt_about({**answer, "decision": decision}) is Doubt.UNREADABLE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "SURELY"),
        ("reason", "NO_CONSENT"),
        ("reason", None),
        ("status", "certain"),
        ("basis", "hope"),
        ("position", "yesterday"),
        ("position", "e1.p1.o-2"),
        ("tightened_position", "e1"),
        ("obligations", ["dance"]),
        ("results", "all"),
        ("policy_version", "one"),
    ],
)
async def test_an_allow_in_words_that_are_not_known_is_not_believed(field: str, value: object) -> None:
    answer = await allowed_answer()
    answer["context"][field] = value
    assert doubt_about(answer) is Doubt.UNREADABLE


async def test_an_allow_for_other_data_is_not_believed() -> None:
    answer = await allowed_answer()
    both = msgspec.structs.replace(REQUEST, data=("behaviour", "posted_content"))
    assert doubt_about(answer, both) is Doubt.MISMATCHED
    answer["context"]["results"] = []
    assert doubt_about(answer) is Doubt.MISMATCHED


async def test_an_allow_of_which_a_part_denies_is_not_believed() -> None:
    for change in ({"allow": False}, {"reason": "REFUSED"}):
        answer = await allowed_answer()
        answer["context"]["results"][0] |= change
        assert doubt_about(answer) is Doubt.UNREADABLE


async def test_an_allow_by_older_state_than_was_asked_for_is_not_believed() -> None:
    answer = await allowed_answer()
    seen = Position.parse(answer["context"]["position"])
    later = seen._replace(offset=seen.offset + 1)
    assert doubt_about(answer, msgspec.structs.replace(REQUEST, min_position=later)) is Doubt.MISMATCHED
    for elsewhere in (seen._replace(epoch=2), seen._replace(epoch=0), seen._replace(partition=seen.partition - 1)):
        assert doubt_about(answer, msgspec.structs.replace(REQUEST, min_position=elsewhere)) is Doubt.MISMATCHED
    assert read_answer(msgspec.json.encode(answer), msgspec.structs.replace(REQUEST, min_position=seen)).allow


async def test_a_deny_keeps_its_reason_and_what_follows() -> None:
    node = Node()
    await node.record(grant())
    await node.record(act("ConsentWithdrawn"))
    answer = read_answer((await node.ask(question())).content, REQUEST)
    assert (answer.allow, answer.reason, answer.doubt) == (False, Reason.WITHDRAWN, None)
    assert "stop_processing" in answer.obligations
    assert answer.tightened_position is not None


async def test_a_node_that_has_seen_nothing_yet_is_understood() -> None:
    answer = await allowed_answer()
    answer["decision"] = False
    answer["context"] |= {"reason": "STALE", "position": "e1.p2.o-1"}
    read = read_answer(msgspec.json.encode(answer), REQUEST)
    assert (read.reason, read.position, read.doubt) == (Reason.STALE, Position(1, 2, -1), None)


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[]", b"<html>", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_answer_is_none(body: bytes) -> None:
    with pytest.raises(Doubtful) as fault:
        read_answer(body, REQUEST)
    assert fault.value.doubt is Doubt.UNREADABLE


async def test_of_several_answers_each_is_read_by_itself() -> None:
    good = await allowed_answer()
    bad = {"decision": True, "context": {}}
    refused = {"decision": False, "context": {"error": {"status": 400, "message": "/subject/id: too long"}}}
    body = msgspec.json.encode({"evaluations": [good, bad, refused, good]})
    answers = read_answers(body, (REQUEST,) * 4)
    assert [answer.allow for answer in answers] == [True, False, False, True]
    assert [answer.doubt for answer in answers] == [None, Doubt.UNREADABLE, Doubt.REFUSED, None]


async def test_more_or_fewer_answers_than_questions_answer_none_of_them() -> None:
    good = await allowed_answer()
    for count in (1, 3):
        with pytest.raises(Doubtful) as fault:
            read_answers(msgspec.json.encode({"evaluations": [good] * count}), (REQUEST,) * 2)
        assert fault.value.doubt is Doubt.MISMATCHED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ALLOWED = asyncio.run(allowed_answer())
PATHS = [("decision",), *(("context", name) for name in ALLOWED["context"])]
PATHS += [("context", "results", 0, name) for name in ALLOWED["context"]["results"][0]]


@given(st.binary(max_size=64) | JSON.map(msgspec.json.encode))
def test_whatever_comes_back_is_a_doubt(body: bytes) -> None:
    with pytest.raises(Doubtful):
        read_answer(body, REQUEST)


@given(path=st.sampled_from(PATHS), value=JSON)
def test_an_allow_of_which_one_value_is_another_is_an_allow_for_the_same_or_none(
    path: tuple[str | int, ...], value: object
) -> None:
    changed: Any = msgspec.json.decode(msgspec.json.encode(ALLOWED))
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    try:
        read = read_answer(msgspec.json.encode(changed), REQUEST)
    except Doubtful:
        return
    assert not read.allow or (read.reason in ALLOWING and [each.data for each in read.results] == ["behaviour"])
    assert not read.allow or all(each.allow for each in read.results)
    assert read.allow is changed["decision"]
