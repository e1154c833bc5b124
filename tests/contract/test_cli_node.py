"""The commands that ask a query node, or send it events: its real API, and servers that are none."""

import json

import pytest
from contract.commanding import GRANT, NOWHERE, PERMISSION, act, answering, consentry, served
from contract.in_memory import NOW, Node

from streams.cli.frame import Exit
from streams.cli.submissions import batches_of

CHECK = ("check", "account:42", "--operation", "collect", "--purpose", "publish.camera", "--data", "camera_image")
ALLOWED = (
    b'{"decision":true,"context":{"reason":"CONSENT","clause":"1.1","basis":"consent","status":"given","evidence":[],'
    b'"policy_version":1,"position":"e1.p0.o1","tightened_position":null,"staleness_ms":0,"engine_version":"0",'
    b'"expires_at":null,"obligations":[],"prompt":{"may_ask":false},"results":[]}}'
)


# a query node is asked


def test_a_check_that_allows_exits_0_and_one_that_denies_1() -> None:
    node = Node()
    with served(node) as url:
        assert consentry(*CHECK, "--active", NODE_URL=url, BEARER_TOKEN="all").exit_code == Exit.NO
        for event in (PERMISSION, GRANT):
            sent = consentry("publish", "-", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
            assert sent.exit_code == Exit.DONE, sent.stderr
        allowed = consentry(*CHECK, "--active", NODE_URL=url, BEARER_TOKEN="all")
    assert allowed.exit_code == Exit.DONE
    assert allowed.stdout.startswith("ALLOW  CONSENT  clause 1.3.1.b")


def test_an_explained_deny_says_why_and_by_which_clause() -> None:
    with served(Node()) as url:
        result = consentry(*CHECK, "--active", "--explain", NODE_URL=url, BEARER_TOKEN="all")
    assert "You may not collect camera_image of account:42 for publish.camera" in result.stdout
    assert "Clause P-4 of version 1 of the policy says: “Precise geolocation, camera" in result.stdout
    assert "The person may be asked now." in result.stdout


def test_an_explained_allow_tells_of_its_evidence_and_until_when_it_holds() -> None:
    grant = {**GRANT, "valid_until": NOW + 86_400_000}
    with served(Node()) as url:
        for event in (PERMISSION, grant):
            sent = consentry("publish", "-", "--json", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
        given = json.loads(sent.stdout)
        result = consentry(*CHECK, "--active", "--explain", NODE_URL=url, BEARER_TOKEN="all")
    assert result.exit_code == Exit.DONE
    assert "of the policy, under “Posting of information”, says: “When you use the function" in result.stdout
    assert f"event {given['event_id']} (given by subject), recorded at {given['position']} on" in result.stdout
    assert "Time alone changes this answer on Tuesday, 22 September 2026" in result.stdout


def test_without_explain_a_check_is_one_line_and_json_is_the_same_with_it() -> None:
    with served(Node()) as url:
        short = consentry(*CHECK, "--active", NODE_URL=url, BEARER_TOKEN="all")
        plain, explained = (
            consentry(*CHECK, "--json", *more, NODE_URL=url, BEARER_TOKEN="all").stdout for more in ((), ("--explain",))
        )
    assert short.stdout == "DENY  PERMISSION_OFF  clause P-4\n"
    assert plain == explained


def test_an_answer_is_explained_though_nothing_else_can_be_read() -> None:
    """A node that knows no such page: the decision stands without the wording."""
    with answering(ALLOWED) as url:
        result = consentry(*CHECK, "--explain", NODE_URL=url)
    assert result.exit_code == Exit.DONE
    assert result.stdout.startswith("ALLOW  CONSENT  clause 1.1\nYou may collect camera_image")
    assert "what else is known could not be read" in result.stderr


def test_where_one_would_ask_bears_on_whether_one_may() -> None:
    refusal = act("ConsentRefused", purpose="publish.camera", scene="start")
    asked = []
    with served(Node()) as url:
        for event in (PERMISSION, refusal):
            consentry("publish", "-", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
        for more in (("--scene", "start"), ("--scene", "editor"), ("--user-initiated",), ()):
            result = consentry(*CHECK, "--active", "--json", *more, NODE_URL=url, BEARER_TOKEN="all")
            asked.append(json.loads(result.stdout)["context"]["prompt"]["may_ask"])
    assert asked == [False, True, True, False]


def test_json_of_a_check_is_the_nodes_own_answer() -> None:
    with served(Node()) as url:
        result = consentry(*CHECK, "--json", NODE_URL=url, BEARER_TOKEN="all")
    answer = json.loads(result.stdout)
    assert answer["decision"] is False
    assert {"reason", "clause", "position", "results"} <= answer["context"].keys()


@pytest.mark.parametrize("url", [f"http://{NOWHERE}", "nonsense://x", "http://"])
def test_a_node_that_does_not_answer_is_unknown_and_no_deny(url: str) -> None:
    result = consentry(*CHECK, NODE_URL=url)
    assert result.exit_code in (Exit.UNKNOWN, Exit.WRONG_USE)
    assert result.stdout == ""


@pytest.mark.parametrize("body", [b"", b"true", b'{"decision": true}', b'{"decision": "yes", "context": {}}'])
def test_an_answer_that_is_not_ours_is_unknown_and_no_allow(body: bytes) -> None:
    with answering(body) as url:
        result = consentry(*CHECK, NODE_URL=url)
    assert result.exit_code == Exit.UNKNOWN
    assert result.stdout == ""
    assert "an answer that is not of our kind" in result.stderr


def test_a_token_that_nobody_knows_is_wrong_use_and_says_which_variable() -> None:
    with served(Node()) as url:
        result = consentry(*CHECK, NODE_URL=url, BEARER_TOKEN="unknown")
    assert result.exit_code == Exit.WRONG_USE
    assert "CONSENTRY_BEARER_TOKEN" in result.stderr


def test_the_state_of_a_subject_is_shown() -> None:
    with served(Node()) as url:
        consentry("publish", "-", stdin=json.dumps(GRANT), NODE_URL=url, BEARER_TOKEN="all")
        shown = consentry("state", "account:42", NODE_URL=url, BEARER_TOKEN="all")
    assert shown.exit_code == Exit.DONE
    assert "given" in shown.stdout


def test_the_state_shows_age_guardians_and_what_they_accepted() -> None:
    mother = "account:mum"
    verified = {
        **act("GuardianVerified", guardian=mother, method="call"),
        "actor": {"role": "system", "id": "verifier"},
    }
    accepted = {**act("PolicyAccepted", policy_version=1), "actor": {"role": "guardian", "id": mother}}
    invoked = act(
        "ExemptionInvoked", code="a", operations=["use"], data=["phone"], legal_ref="order 1", approver="staff-8",
        valid_until=NOW + 1_000,
    )  # fmt: skip
    events = (
        act("AgeAsserted", source="declared", age_band="minor"),
        act("GuardianLinked", guardian=mother, relation="mother"),
        verified,
        accepted,
        {**invoked, "actor": {"role": "controller", "id": "staff-7"}},
    )
    with served(Node()) as url:
        for event in events:
            sent = consentry("publish", "-", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
            assert sent.exit_code == Exit.DONE, sent.stderr
        shown = consentry("state", "account:42", NODE_URL=url, BEARER_TOKEN="all")
    assert shown.stdout.splitlines()[1:] == [
        "age             minor, declared",
        "guardian        account:mum, verified since 2026-09-21T14:13:20.000Z",
        "accepted        policy version 1, by guardian",
        "exemption       a until 2026-09-21T14:13:21.000Z: use phone for any purpose",
    ]


# publishing


def test_an_event_is_made_from_arguments() -> None:
    node = Node()
    with served(node) as url:
        sent = consentry(
            *("publish", "--type", "ConsentWithdrawn", "--subject", "account:42", "--occurred-at", str(NOW)),
            *("--field", "purpose=publish.camera", "--field", "data=camera_image", "--wait", "1000", "--json"),
            NODE_URL=url,
            BEARER_TOKEN="all",
        )
    assert sent.exit_code == Exit.DONE, sent.stderr
    assert json.loads(sent.stdout)["effect"] == "applied"
    (recorded,) = node.log.appended
    assert (recorded.event.purpose, recorded.event.data) == ("publish.camera", ("camera_image",))


@pytest.mark.parametrize("whole", [True, False], ids=["a list", "one a line"])
def test_a_file_of_events_is_published_in_its_order(whole: bool) -> None:
    node = Node()
    events = [act("ConsentWithdrawn", f"account:{number}") for number in range(7)]
    text = json.dumps(events, indent=1) if whole else "\n".join(json.dumps(event) for event in events)
    with served(node) as url:
        sent = consentry("publish", "-", stdin=text, NODE_URL=url, BEARER_TOKEN="all", MAX_BATCH="3")
    assert sent.exit_code == Exit.DONE, sent.stderr
    assert [recorded.event.subject for recorded in node.log.appended] == [event["subject"] for event in events]
    assert len(sent.stdout.splitlines()) == 7


def test_a_file_repeated_under_one_key_is_taken_in_once() -> None:
    node = Node()
    text = "\n".join(json.dumps(act("ConsentWithdrawn", f"account:{n}")) for n in range(5))
    with served(node) as url:
        for _ in range(2):
            sent = consentry(
                *("publish", "-", "--idempotency-key", "a-key"),
                stdin=text,
                NODE_URL=url,
                BEARER_TOKEN="all",
                MAX_BATCH="2",
            )
            assert sent.exit_code == Exit.DONE, sent.stderr
    assert len({recorded.event.event_id for recorded in node.log.appended}) == 5


def test_a_refused_event_is_named_by_its_place_in_the_file() -> None:
    events = [act("ConsentWithdrawn", f"account:{number}") for number in range(4)]
    events[3]["subject"] = "nobody"
    text = "\n".join(json.dumps(event) for event in events)
    node = Node()
    with served(node) as url:
        sent = consentry("publish", "-", stdin=text, NODE_URL=url, BEARER_TOKEN="all", MAX_BATCH="2")
    assert sent.exit_code == Exit.NO
    assert "error: event 4, subject: " in sent.stderr
    assert len(node.log.appended) == 2


def test_an_act_that_the_caller_may_not_send_names_the_field() -> None:
    event = {**act("ConsentWithdrawn"), "actor": {"role": "subject", "id": "account:43"}}
    with served(Node()) as url:
        sent = consentry("publish", "-", stdin=json.dumps(event), NODE_URL=url, BEARER_TOKEN="all")
    assert sent.exit_code == Exit.NO
    assert "error: event 1, actor/id: " in sent.stderr


def test_an_outcome_that_is_not_known_says_how_to_repeat() -> None:
    node = Node()
    node.log.acknowledges = False
    event = json.dumps(act("ConsentWithdrawn"))
    with served(node) as url:
        sent = consentry("publish", "-", "--idempotency-key", "k", stdin=event, NODE_URL=url, BEARER_TOKEN="all")
    assert sent.exit_code == Exit.UNKNOWN
    assert "--idempotency-key k" in sent.stderr


@pytest.mark.parametrize("text", ["no json", "[1,", '{"a": 1}\nno json'])
def test_a_file_that_is_no_json_is_wrong_use(text: str) -> None:
    assert consentry("publish", "-", stdin=text, NODE_URL=f"http://{NOWHERE}").exit_code == Exit.WRONG_USE


def test_a_field_that_the_type_does_not_have_is_named_with_those_it_has() -> None:
    result = consentry(
        *("publish", "--type", "ConsentWithdrawn", "--subject", "account:42", "--field", "scene=x"),
        NODE_URL=f"http://{NOWHERE}",
    )
    assert result.exit_code == Exit.WRONG_USE
    assert "its own are purpose, operations, data, recipients, reason" in result.stderr


def test_parts_of_a_file_keep_within_both_limits() -> None:
    events = [b'"' + b"x" * size + b'"' for size in (1, 1, 1, 50, 1, 1)]
    batches = list(batches_of(events, max_events=2, max_bytes=20))
    assert [len(batch.events) for batch in batches] == [2, 1, 1, 2]
    assert [batch.first for batch in batches] == [1, 3, 4, 5]
    assert [batch.number for batch in batches] == [0, 1, 2, 3]
