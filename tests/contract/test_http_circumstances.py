"""What a subject's state shows besides consent, who may act as a guardian over HTTP, and where one would be asked."""

from typing import Any

import pytest
from contract.in_memory import NOW, Node, act, grant, pointers_of, question, reference_policy

from consentry.state.row import AgeStatement, Circumstances
from consentry.terms import AgeBand, AgeSource
from streams.query.circumstances import KnownAge, known_age

MOTHER = "account:mum"
DAY_MS = 86_400_000


def by(event: dict[str, Any], role: str, name: str) -> dict[str, Any]:
    """The event as another's act; `purpose` is left out of what has none."""
    return {**event, "actor": {"role": role, "id": name}}


def said(kind: str, **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in act(kind, **fields).items() if name != "purpose"}


LINK = said("GuardianLinked", guardian=MOTHER, relation="mother")
VERIFY = by(said("GuardianVerified", guardian=MOTHER, method="call"), "system", "verifier")
ACCEPT = by(said("PolicyAccepted", policy_version=1, at=NOW + 1), "guardian", MOTHER)
MINOR = said("AgeAsserted", source="declared", age_band="minor")
EXEMPTION = {
    **said("ExemptionInvoked", code="h", operations=["use"], data=["phone"], legal_ref="an order", approver="staff-8"),
    "actor": {"role": "controller", "id": "staff-7"},
}


async def state_of(node: Node) -> dict[str, Any]:
    state: dict[str, Any] = (await node.send("GET", "/v1/subjects/account:u-1")).json()
    return state


async def recorded(node: Node, *events: dict[str, Any]) -> list[dict[str, Any]]:
    """One by one, a moment after each other."""
    answers = []
    for event in events:
        node.log.now += 1_000
        answer = await node.record({**event, "occurred_at": node.log.now})
        assert answer.status_code == 201, answer.text
        answers.append(answer.json())
    return answers


async def test_a_state_shows_the_age_by_the_policys_lines_and_on_whose_word() -> None:
    node = Node()
    assert (await state_of(node))["age"] == {"band": "adult", "source": None, "asserted_at": None}
    await recorded(node, said("AgeAsserted", source="declared", birth_date="2010-09-23"))
    declared_at = node.log.now
    assert (await state_of(node))["age"] == {"band": "minor", "source": "declared", "asserted_at": declared_at}
    await recorded(node, by(said("AgeAsserted", source="inferred", age_band="adult"), "system", "model"))
    assert (await state_of(node))["age"]["source"] == "declared"  # the weaker word raises nothing
    node.log.now += 3 * 365 * DAY_MS
    assert (await state_of(node))["age"]["band"] == "adult"


async def test_a_state_shows_no_birth_date() -> None:
    node = Node()
    await recorded(node, said("AgeAsserted", source="declared", birth_date="2010-09-23"))
    assert "2010-09-23" not in (await node.send("GET", "/v1/subjects/account:u-1")).text


async def test_a_state_shows_guardians_and_since_when_they_are_verified() -> None:
    node = Node()
    await recorded(node, LINK)
    linked_at = node.log.now
    guardian = {"guardian": MOTHER, "linked_since": linked_at, "verified_since": None}
    assert (await state_of(node))["guardians"] == [guardian]
    await recorded(node, VERIFY)
    assert (await state_of(node))["guardians"] == [{**guardian, "verified_since": node.log.now}]
    await recorded(node, by(said("GuardianUnlinked", guardian=MOTHER, reason="moved"), "guardian", MOTHER))
    assert (await state_of(node))["guardians"] == []


async def test_a_state_shows_which_versions_were_accepted_and_by_whom() -> None:
    node = Node()
    *_, accepted = await recorded(node, LINK, VERIFY, ACCEPT)
    (shown,) = (await state_of(node))["accepted"]
    assert shown == {
        "policy_version": 1,
        "actor_role": "guardian",
        "actor_id": MOTHER,
        "recorded_at": node.log.now,
        "event_id": accepted["event_id"],
    }


async def test_a_state_shows_objections_and_exemptions_with_their_ends() -> None:
    node = Node()
    until = NOW + DAY_MS
    objection = act("RightsRequested", right="objection")
    objected, invoked = await recorded(node, objection, {**EXEMPTION, "valid_until": until})
    state = await state_of(node)
    ids = [entry["event_id"] for entry in (*state["objections"], *state["exemptions"])]
    assert ids == [objected["event_id"], invoked["event_id"]]
    assert state["objections"][0]["purpose"] == "recommendation.personalised"
    shown = state["exemptions"][0]
    assert (shown["code"], shown["operations"], shown["data"], shown["valid_until"]) == ("h", ["use"], ["phone"], until)
    assert "an order" not in str(state)  # what it rests on is in the log, for who audits
    await recorded(node, {**EXEMPTION, "type": "ExemptionEnded", "code": "i"})
    assert [ended["code"] for ended in (await state_of(node))["exemptions_ended"]] == ["i"]
    node.log.now = until - 1
    assert len((await state_of(node))["exemptions"]) == 1
    node.log.now = until
    assert (await state_of(node))["exemptions"] == []


async def test_a_state_shows_the_opt_outs_that_count() -> None:
    """A guardian's counts for a ward, and not for somebody of whom nothing says that it is one."""
    node = Node()
    opt_out = by(act("PreferenceSet", opted_out=True), "guardian", MOTHER)
    await recorded(node, LINK, opt_out)
    assert (await state_of(node))["opted_out"] == []
    await recorded(node, MINOR, opt_out)
    assert (await state_of(node))["opted_out"] == ["recommendation.personalised"]


async def test_a_state_shows_no_consent_where_none_is_needed() -> None:
    node = Node()
    await recorded(node, grant(purpose="search.service"), grant())
    assert {cell["purpose"] for cell in (await state_of(node))["cells"]} == {"recommendation.personalised"}


def test_a_band_that_is_said_of_later_is_not_said_of_now() -> None:
    statement = AgeStatement(
        event_id=b"a" * 16,
        source=AgeSource.DECLARED,
        birth_date=None,
        band=AgeBand.ADULT,
        may_raise=True,
        occurred_at=NOW + 1,
        recorded_at=NOW + 1,
        offset=1,
    )
    policy = reference_policy().in_force(NOW)
    assert known_age(Circumstances(ages=(statement,)), policy, NOW) == KnownAge(
        band=AgeBand.ADULT, source=None, asserted_at=None
    )
    assert known_age(Circumstances(), None, NOW) is None


async def test_the_evidence_of_an_answer_is_found_among_the_events_of_the_state() -> None:
    node = Node()
    (given,) = await recorded(node, grant())
    answer = (await node.ask(question())).json()["context"]
    events = {event["event_id"]: event for event in (await state_of(node))["events"]}
    assert answer["evidence"] == [given["event_id"]]
    assert events[given["event_id"]] == {
        "event_id": given["event_id"],
        "what": "given by subject",
        "position": given["position"],
        "recorded_at": node.log.now,
    }


# guardians


@pytest.mark.parametrize("event", [grant(), act("PreferenceSet", opted_out=False), ACCEPT])
async def test_a_guardian_loosens_over_http_once_the_row_shows_the_verification(event: dict[str, Any]) -> None:
    node = Node()
    event = by(event, "guardian", MOTHER)
    await recorded(node, MINOR, LINK)
    answer = await node.record(event)
    assert (answer.status_code, answer.json()["code"]) == (403, "GUARDIAN_NOT_VERIFIED")
    assert pointers_of(answer) == ["/actor/id"]
    await recorded(node, VERIFY, event)


async def test_a_stranger_stops_nothing() -> None:
    node = Node()
    await recorded(node, grant())
    withdrawal = by(act("ConsentWithdrawn"), "guardian", MOTHER)
    answer = await node.record(withdrawal, params={"wait": "1000"})
    assert (answer.status_code, answer.json()["effect"]) == (201, "unchanged")
    assert (await node.ask(question())).json()["decision"]
    deferred = await node.record(by(act("ConsentDeferred", policy_version=1), "guardian", MOTHER))
    assert (deferred.status_code, deferred.json()["code"]) == (403, "GUARDIAN_NOT_LINKED")


async def test_a_guardians_stop_is_not_lost_to_a_node_that_has_not_seen_the_link() -> None:
    node = Node()
    await recorded(node, MINOR)
    node.log.folds_at_once = False
    await recorded(node, LINK, by(act("PreferenceSet", opted_out=True), "guardian", MOTHER))
    node.log.fold()
    assert (await state_of(node))["opted_out"] == ["recommendation.personalised"]


async def test_an_event_may_wait_until_what_it_rests_on_is_visible() -> None:
    node = Node()
    await recorded(node, LINK)
    node.log.folds_at_once = False
    (verified,) = await recorded(node, VERIFY)
    event, params = {**ACCEPT, "occurred_at": node.log.now}, {"min_position": verified["position"]}
    assert (await node.record(event)).json()["code"] == "GUARDIAN_NOT_VERIFIED"
    early = await node.record(event, params=params)
    assert (early.status_code, early.json()["code"]) == (503, "NOT_YET_VISIBLE")
    assert early.headers["retry-after"]
    node.log.fold()
    assert (await node.record(event, params=params)).status_code == 201


async def test_a_min_position_that_is_none_is_refused() -> None:
    answer = await Node().record(grant(), params={"min_position": "the latest"})
    assert (answer.status_code, pointers_of(answer)) == (400, ["?min_position"])


# where one would be asked


@pytest.mark.parametrize(
    ("asked", "may_ask"),
    [
        ({}, False),
        ({"scene": "start"}, False),
        ({"scene": ""}, False),
        ({"scene": "editor"}, True),
        ({"user_initiated": True}, True),
        ({"user_initiated": False, "scene": "start"}, False),
        ({"user_initiated": None, "scene": None}, False),
    ],
)
async def test_a_refusal_in_one_scene_forbids_to_ask_there(asked: dict[str, Any], may_ask: bool) -> None:
    node = Node()
    await recorded(node, act("ConsentRefused", scene="start"))
    context = (await node.ask(question(**asked))).json()["context"]
    assert (context["reason"], context["prompt"]["may_ask"]) == ("REFUSED", may_ask)
