"""The node answers as /openapi.json says, whatever fits the description and whatever does not quite (schemathesis)."""

import asyncio

import pytest
import schemathesis
from contract.in_memory import Node, grant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ENDLESS = "GET /v1/watch"
"""a stream has no end to wait for; tests/contract/test_http_watch.py reads it"""
TOKEN = {"authorization": "Bearer all"}


def node_with_a_consent() -> Node:
    node = Node()
    assert asyncio.run(node.record(grant())).status_code == 201
    return node


NODE = node_with_a_consent()
DESCRIBED = schemathesis.openapi.from_asgi("/openapi.json", NODE.api)
OPERATIONS = {found.ok().label: found.ok() for found in DESCRIBED.get_all_operations()}


def test_every_route_is_described() -> None:
    described = {f"POST {path}" for path in NODE.api.checks} | {"POST /v1/events", ENDLESS, "GET /v1/policies"}
    assert described <= set(OPERATIONS)
    assert len(OPERATIONS) >= 17


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("label", sorted(set(OPERATIONS) - {ENDLESS}))
def test_each_answer_is_as_described(label: str, mode: GenerationMode) -> None:
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
        return  # there is nothing that could be said wrongly

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode))
    def answered(case: Case) -> None:
        case.call_and_validate(headers=TOKEN, checks=CHECKS)

    answered()


@pytest.mark.parametrize("label", sorted(label for label in OPERATIONS if "search" in label or "evaluation" in label))
def test_without_a_token_no_question_is_answered(label: str) -> None:
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(OPERATIONS[label].as_strategy(), st.sampled_from(["", "Bearer x", "Basic all"]))
    def refused(case: Case, authorization: str) -> None:
        assert case.call(headers={"authorization": authorization}).status_code == 401

    refused()
