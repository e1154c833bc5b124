"""Who may ask what: every route against every role, and the doors that have no lock."""

import pytest
from contract.in_memory import Node, act, grant, question
from contract.watching import watching

from consentry.intake import CallerRole
from streams.query.roles import OPEN_ROUTES, ROLES_OF_ROUTE

# As the contract says it; the table in the code has to agree.
MAY: dict[str, set[str]] = {
    "POST /access/v1/evaluation": {"asker"},
    "POST /access/v1/evaluations": {"asker"},
    "POST /access/v1/search/subject": {"asker"},
    "POST /access/v1/search/resource": {"asker"},
    "POST /access/v1/search/action": {"asker"},
    "POST /v1/events": {"producer", "guardian_verifier", "operator"},
    "GET /v1/subjects/{subject}": {"asker", "auditor"},
    "GET /v1/subjects/{subject}/history": {"auditor"},
    "GET /v1/subjects/{subject}/prompt": {"asker"},
    "GET /v1/watch": {"asker", "auditor"},
    "GET /v1/policies": {"asker", "producer", "guardian_verifier", "operator", "auditor", "publisher"},
    "GET /v1/policies/{version}": {"asker", "producer", "guardian_verifier", "operator", "auditor", "publisher"},
    "GET /v1/policies/{former}..{version}": {
        "asker",
        "producer",
        "guardian_verifier",
        "operator",
        "auditor",
        "publisher",
    },
}
PATHS = {"{subject}": "account:u-1", "{former}..{version}": "1..2", "{version}": "1"}
QUERIES = {"GET /v1/subjects/{subject}/prompt": "?purpose=recommendation.personalised"}
BODIES: dict[str, object] = {
    "POST /access/v1/evaluation": question(),
    "POST /access/v1/evaluations": {"evaluations": [question()]},
    "POST /access/v1/search/subject": question(),
    "POST /access/v1/search/resource": question(),
    "POST /access/v1/search/action": question(),
    "POST /v1/events": grant(),
}


def sent(route: str) -> tuple[str, str]:
    method, path = route.split()
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return method, path


@pytest.mark.parametrize("role", list(CallerRole))
@pytest.mark.parametrize("route", list(MAY))
async def test_a_route_is_open_to_the_roles_of_the_contract_and_to_no_other(route: str, role: CallerRole) -> None:
    method, path = sent(route)
    path += QUERIES.get(route, "")
    if route == "GET /v1/watch" and role in MAY[route]:  # which has no end
        async with watching(Node(token=role), ["account:u-1"]) as listener:
            assert (await listener.next()).name == "watching"
        return
    answer = await Node(token=role).send(method, path, json=BODIES.get(route))
    if role not in MAY[route]:
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    elif route == "POST /v1/events" and role != "producer":
        assert answer.json()["code"] == "ROLE_NOT_ALLOWED"  # let in, and told by intake that a grant is not its to send
    elif route == "GET /v1/policies/{former}..{version}":
        assert answer.json()["code"] == "NOT_FOUND"  # there is one version alone
    else:
        assert answer.status_code in (200, 201)


@pytest.mark.parametrize("token", ["", "unknown", "all x"])
@pytest.mark.parametrize("route", list(MAY))
async def test_without_a_known_token_nothing_is_answered(route: str, token: str) -> None:
    method, path = sent(route)
    answer = await Node(token=token).send(method, path, json=BODIES.get(route))
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("value", ["all", "Basic all", "Bearerall"])
async def test_a_token_that_is_not_a_bearers_is_none(value: str) -> None:
    answer = await Node().ask(question(), headers={"authorization": value})
    assert answer.status_code == 401


def test_every_route_of_the_api_is_in_the_table_or_open() -> None:
    paths = Node().api.openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    checks = {f"POST {path}" for path in Node().api.checks}
    assert len(checks) == 5
    assert routes | checks == set(ROLES_OF_ROUTE) | OPEN_ROUTES
    assert set(MAY) == set(ROLES_OF_ROUTE)


@pytest.mark.parametrize("route", ["POST /access/v1/evaluation", "GET /v1/policies"])
async def test_a_route_that_the_table_does_not_name_is_nobodys(route: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ROLES_OF_ROUTE, route)  # type: ignore[arg-type]
    method, path = sent(route)
    answer = await Node().send(method, path, json=BODIES.get(route))
    assert answer.status_code == 403


@pytest.mark.parametrize("route", sorted(OPEN_ROUTES))
async def test_what_holds_no_subject_needs_no_token(route: str) -> None:
    node = Node(token="")
    await node.record(act("ConsentWithdrawn"))
    method, path = sent(route)
    answer = await node.send(method, path)
    assert answer.status_code == 200
    assert "account:u-1" not in answer.text
