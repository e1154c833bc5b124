"""A misspelt field of ours inside `context` gains nothing: what it was to say is never ignored into an ALLOW."""

from typing import Any

import pytest
from contract.in_memory import PARTITIONS, Node, act, grant, question
from hypothesis import given, settings
from hypothesis import strategies as st

from consentry.partition import partition_of
from streams.query.question import LOOKED_AT, MAX_WARNINGS, _near

PARTITION = partition_of("account:u-1", PARTITIONS)
AHEAD = f"e1.p{PARTITION}.o999"


async def reason_of(node: Node, **context: Any) -> tuple[bool, str, list[str]]:
    answer = await node.ask(question(**context))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["decision"], found["context"]["reason"], found["context"]["warnings"]


async def agreed() -> Node:
    node = Node()
    await node.record(grant())
    assert await reason_of(node) == (True, "CONSENT", [])
    return node


@pytest.mark.parametrize(
    ("misspelt", "meant", "value", "reason"),
    [
        ("recpient", "recipient", "somebody", "RECIPIENT_NOT_COVERED"),
        ("Recipient", "recipient", "somebody", "RECIPIENT_NOT_COVERED"),
        ("min_postion", "min_position", AHEAD, "NOT_YET_VISIBLE"),
    ],
)
async def test_what_the_right_word_would_deny_the_misspelt_one_denies(
    misspelt: str, meant: str, value: object, reason: str
) -> None:
    node = await agreed()
    node.log.folds_at_once = False
    right = await reason_of(node, **{meant: value})
    wrong = await reason_of(node, **{misspelt: value})
    beside_nothing = await reason_of(node, **{misspelt: value, meant: None})
    assert (right[0], right[1]) == (wrong[0], wrong[1]) == (False, reason)
    assert beside_nothing == wrong
    assert wrong[2] == [f"context field {misspelt!r} is ignored; is {meant!r} meant?"]


async def test_what_the_right_word_would_allow_the_misspelt_one_does_not() -> None:
    node = Node()
    body = {"permission": "camera", "state": "on"}
    seen = {name: value for name, value in act("PermissionObserved", **body).items() if name != "purpose"}
    await node.record(seen)
    await node.record(grant(purpose="publish.camera"))
    about = question("publish.camera", "camera_image", action="collect")
    answers = []
    for word in ("active", "activ"):
        answers.append((await node.ask({**about, "context": {"data": "camera_image", word: True}})).json())
    assert [answer["decision"] for answer in answers] == [True, False]
    assert answers[1]["context"]["reason"] == "FEATURE_NOT_ACTIVE"


@pytest.mark.parametrize(
    "context",
    [
        {"recipients": ["somebody"]},
        {"recpient": "one", "recipent": "two"},
        {"devices": "eve@example.org"},
        {"min_postion": "soon"},
    ],
)
async def test_a_misspelt_field_that_holds_no_value_of_ours_is_a_deny(context: dict[str, Any]) -> None:
    decision, reason, warnings = await reason_of(await agreed(), **context)
    assert (decision, reason) == (False, "DATA_NOT_COVERED")
    assert "nothing is allowed" in warnings[0]


async def test_beside_the_right_word_a_misspelt_one_changes_nothing() -> None:
    decision, _, warnings = await reason_of(await agreed(), datas="something")
    assert decision is True
    assert warnings == ["context field 'datas' is ignored; is 'data' meant?"]


async def test_words_that_look_like_none_of_ours_are_a_gateways_own() -> None:
    own = {"time": "2026-11-24", "ip": "192.0.2.1", "date": 7, "device_id": {}, "from": [], "user_agent": None}
    assert await reason_of(await agreed(), **own) == (True, "CONSENT", [])


async def test_at_the_limit_foreign_words_are_compared_and_past_it_nothing_is_allowed() -> None:
    node = await agreed()
    fields = {f"x{number}": number for number in range(LOOKED_AT)}
    assert (await reason_of(node, **fields))[0] is True
    decision, reason, warnings = await reason_of(node, **fields, one_more=1)
    assert (decision, reason) == (False, "DATA_NOT_COVERED")
    assert "nothing is allowed" in warnings[0]


async def test_warnings_are_bounded_and_the_same_each_time() -> None:
    node = await agreed()
    many = {f"recipient{number}": "somebody" for number in range(2 * MAX_WARNINGS)}
    first, second = await reason_of(node, **many), await reason_of(node, **many)
    assert first == second
    assert len(first[2]) == MAX_WARNINGS


async def test_of_a_long_word_only_its_beginning_is_kept_and_told() -> None:
    word = "recipient" + "t" * 300_000
    _, _, warnings = await reason_of(await agreed(), **{word: "somebody", word[:9] + "t" * 60: "x"})
    assert all(len(warning) < 200 for warning in warnings)
    _near.cache_clear()
    await reason_of(await agreed(), **{"x" * 300_000: 1})
    assert _near.cache_info().currsize == 1
    await reason_of(await agreed(), **{"x" * 299_999: 1})
    assert _near.cache_info().currsize == 1


WORDS = ("recipient", "device", "joined_with_identity", "form", "active", "transfer_mechanism", "scene", "min_position")
VALUES = st.one_of(st.none(), st.booleans(), st.sampled_from(["ads_platform", "deidentified", "device:d1", AHEAD, "x"]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(WORDS), st.data(), VALUES)
async def test_a_letter_too_few_or_too_many_never_makes_an_allow_of_it(
    word: str, data: st.DataObject, value: object
) -> None:
    node = await agreed()
    place = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("aeinrstz_"))
    wrong = data.draw(st.sampled_from([word[:place] + word[place + 1 :], word[:place] + letter + word[place:]]))
    right = await node.ask(question(**{word: value}))
    allowed = right.status_code == 200 and right.json()["decision"]
    misspelt = await node.ask(question(**{wrong: value}))
    assert misspelt.status_code == 200
    if misspelt.json()["decision"]:
        assert allowed, (wrong, value)
    assert misspelt.json()["context"]["warnings"]
