"""What surrounds the checks: health, metrics, readings, problem details everywhere, and the API's own description."""

from typing import Any, ClassVar

import pytest
from contract.in_memory import NOW, Node, act, grant, pointers_of, question

from consentry.policy import Policies
from streams.query.metrics import Metrics


async def test_a_node_that_has_caught_up_is_ready() -> None:
    answer = await Node().send("GET", "/readyz")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "because": ""})


async def test_a_node_that_has_not_caught_up_says_why_and_lives() -> None:
    node = Node()
    node.log.not_ready_because = "the state is still being read"
    answer = await node.send("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "because": "the state is still being read"}
    assert (await node.send("GET", "/livez")).status_code == 200


async def test_metrics_count_decisions_by_reason() -> None:
    node = Node()
    await node.ask(question())
    await node.ask(question("search.service", "search_log"))
    text = (await node.send("GET", "/metrics")).text
    assert 'consentry_decisions_total{decision="deny",reason="NO_CONSENT"} 1.0' in text
    assert 'consentry_decisions_total{decision="allow",reason="NECESSARY"} 1.0' in text
    assert "consentry_evaluation_seconds_count 2.0" in text


async def test_metrics_say_how_old_each_partition_may_be() -> None:
    node = Node()
    node.log.age_ms = 250
    await node.record(grant())
    text = (await node.send("GET", "/metrics")).text
    assert 'consentry_staleness_ms{partition="0"} 250.0' in text
    partition = node.log.appended[0].position.partition
    assert f'consentry_watermark_offset{{partition="{partition}"}} 1.0' in text
    assert 'consentry_events_appended_total{type="ConsentGiven"} 1.0' in text


async def test_an_age_that_cannot_be_proven_is_no_metric() -> None:
    node = Node()
    node.log.age_ms = None
    assert "consentry_staleness_ms{" not in (await node.send("GET", "/metrics")).text


async def test_metrics_say_how_far_rows_are_behind_the_log_and_that_something_was_set_aside() -> None:
    node = Node()
    await node.record(grant())
    partition = node.log.appended[0].position.partition

    class Known:
        of_log: ClassVar = {partition: 5}
        of_quarantine: ClassVar = {0: 2}

    text = Metrics(node.log, Known()).exposition().decode()
    assert f'consentry_lag_records{{partition="{partition}"}} 3.0' in text  # offsets 2, 3 and 4
    assert 'consentry_quarantine_offset{partition="0"} 2.0' in text
    Known.of_log, Known.of_quarantine = {}, {}
    assert "consentry_lag_records{" not in Metrics(node.log, Known()).exposition().decode()


async def test_metrics_count_what_was_refused() -> None:
    node = Node()
    await node.ask({})
    await node.send("GET", "/nowhere")
    text = (await node.send("GET", "/metrics")).text
    assert 'consentry_refusals_total{code="MALFORMED",route="POST /access/v1/evaluation"} 1.0' in text
    assert 'code="NOT_FOUND"' in text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/v1/policies/", 404, "NOT_FOUND"),
        ("POST", "/access/v1/evaluation/", 404, "NOT_FOUND"),
        ("GET", "/v1/policies/7", 404, "NOT_FOUND"),
        ("GET", "/v1/policies/one", 400, "MALFORMED"),
        ("GET", "/v1/subjects/eve@example.org", 400, "MALFORMED"),
        ("GET", "/access/v1/evaluation", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/events", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/v1/policies", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_whatever_is_refused_is_told_as_problem_details(method: str, path: str, status: int, code: str) -> None:
    answer = await Node().send(method, path, headers={"x-request-id": "r-1"})
    pointers_of(answer)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["type"] == f"urn:consentry:problem:{code.lower().replace('_', '-')}"
    assert answer.headers["x-request-id"] == "r-1"
    if status == 405:
        assert answer.headers["allow"]


async def test_a_fault_inside_of_any_route_is_problem_details_and_tells_nothing_of_itself() -> None:
    node = Node()

    def broken(*_: object) -> None:
        raise RuntimeError("inner secret")

    node.log.view = broken  # type: ignore[assignment]
    for answer in (await node.send("GET", "/v1/subjects/account:u-1"), await node.record(grant())):
        assert (answer.status_code, answer.json()["code"]) == (500, "INTERNAL")
        assert "secret" not in answer.text


async def test_the_policies_can_be_read() -> None:
    node = Node()
    (summary,) = (await node.send("GET", "/v1/policies")).json()["revisions"]
    assert (summary["version"], summary["in_force"], summary["position"]) == (1, True, "e1.p0.o1")
    revision = (await node.send("GET", "/v1/policies/1")).json()
    assert revision["summary"] == summary
    assert "purposes:" in revision["document"]


async def test_a_subjects_state_shows_where_each_cell_stands() -> None:
    node = Node()
    granted = (await node.record(grant(operations=["use"]))).json()
    withdrawn = (await node.record(act("ConsentWithdrawn", data=["posted_content"]))).json()
    state = (await node.send("GET", "/v1/subjects/account:u-1")).json()
    cells = {(cell["data"], cell["operation"]): (cell["status"], cell["evidence"]) for cell in state["cells"]}
    assert cells[("behaviour", "use")] == ("given", [granted["event_id"]])
    assert cells[("posted_content", "use")] == ("withdrawn", [withdrawn["event_id"]])
    assert state["tightened_position"] == withdrawn["position"]
    assert state["policy_version"] == 1


async def test_a_subjects_state_shows_objections_and_permissions() -> None:
    node = Node()
    await node.record(act("PreferenceSet", opted_out=True))
    observed = {name: value for name, value in act("PermissionObserved").items() if name != "purpose"}
    await node.record({**observed, "permission": "camera", "state": "off"})
    state = (await node.send("GET", "/v1/subjects/account:u-1")).json()
    assert state["opted_out"] == ["recommendation.personalised"]
    assert state["permissions"] == [{"name": "camera", "device": "", "state": "off", "recorded_at": NOW}]


async def test_a_subject_of_whom_nothing_is_known_has_an_empty_state() -> None:
    state = (await Node(policies=Policies()).send("GET", "/v1/subjects/account:u-9")).json()
    assert (state["cells"], state["closed_at"], state["policy_version"]) == ([], None, None)


async def described() -> dict[str, Any]:
    document: dict[str, Any] = (await Node().send("GET", "/openapi.json")).json()
    return document


async def test_the_description_is_openapi_3_1_and_names_every_path() -> None:
    document = await described()
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/access/v1/evaluation",
        "/access/v1/evaluations",
        "/access/v1/search/subject",
        "/access/v1/search/resource",
        "/access/v1/search/action",
        "/.well-known/authzen-configuration",
        "/v1/events",
        "/v1/subjects/{subject}",
        "/v1/subjects/{subject}/history",
        "/v1/subjects/{subject}/prompt",
        "/v1/watch",
        "/v1/policies",
        "/v1/policies/{former}..{version}",
        "/v1/policies/{version}",
        "/livez",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
    }


async def test_every_reference_of_the_description_leads_somewhere() -> None:
    document = await described()

    def refs(node: object) -> set[str]:
        if isinstance(node, dict):
            own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
            return own.union(*(refs(value) for value in node.values()))
        return set().union(*(refs(value) for value in node)) if isinstance(node, list) else set()

    schemas = document["components"]["schemas"]
    assert {ref.removeprefix("#/components/schemas/") for ref in refs(document)} <= set(schemas)


async def test_the_check_is_described_as_completely_as_the_rest() -> None:
    document = await described()
    schemas = document["components"]["schemas"]
    check = document["paths"]["/access/v1/evaluation"]["post"]
    assert check["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith("EvaluationRequest")
    assert check["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("EvaluationAnswer")
    assert set(schemas["CheckContext"]["properties"]) == {
        "data", "recipient", "form", "active", "device", "transfer_mechanism", "joined_with_identity", "min_position",
        "scene", "user_initiated",
    }  # fmt: skip
    assert schemas["EvaluationRequest"]["required"] == ["subject", "action", "resource"]
    assert check["security"] == [{"bearer": []}]


async def test_the_description_of_events_leaves_out_what_intake_sets() -> None:
    document = await described()
    given = document["components"]["schemas"]["ConsentGiven"]
    assert "skew_ms" not in given["properties"]
    assert "event_id" not in given["required"]
    parameters = {parameter["name"] for parameter in document["paths"]["/v1/events"]["post"]["parameters"]}
    assert parameters == {"Idempotency-Key", "wait", "min_position", "X-Request-ID"}


async def test_the_description_of_events_offers_none_that_no_caller_may_send() -> None:
    schemas = (await described())["components"]["schemas"]
    assert "ConsentWithdrawn" in schemas
    assert not {"SubjectErased", "SubjectQuarantined"} & set(schemas)


async def test_the_page_of_the_api_needs_nothing_from_elsewhere() -> None:
    page = (await Node().send("GET", "/docs")).text
    assert "POST /access/v1/evaluation" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "<script" not in page
