"""/openapi.json (OpenAPI 3.1): FastAPI knows the paths, msgspec the types."""

from functools import cache
from typing import Any, Union, get_args

import msgspec
from fastapi import FastAPI, Response

from consentry.authzen import (
    EVALUATION_PATH,
    EVALUATIONS_PATH,
    SEARCH_ACTION_PATH,
    SEARCH_RESOURCE_PATH,
    SEARCH_SUBJECT_PATH,
    ActionSearchRequest,
    ActionsFound,
    Configuration,
    EvaluationAnswer,
    EvaluationRequest,
    EvaluationsAnswer,
    EvaluationsRequest,
    ResourceSearchRequest,
    ResourcesFound,
    SubjectSearchRequest,
    SubjectsFound,
    Undecided,
)
from consentry.events import AnySubjectEvent
from consentry.intake import MAY_SEND
from consentry.settings import Settings
from consentry.terms import Form, Operation
from streams.query import problems
from streams.query.events import Appended, AppendedList
from streams.query.health import Liveness, Readiness
from streams.query.history import History
from streams.query.params import LAST_MOMENT
from streams.query.policies import PolicyDifference, PolicyRevision, PolicyRevisions
from streams.query.problems import ProblemDetails
from streams.query.prompts import MayAsk
from streams.query.roles import OPEN_ROUTES, ROLES_OF_ROUTE
from streams.query.subjects import SubjectView
from streams.query.watch import ChangedState, WatchBegins, WatchEnds

Document = dict[str, Any]

_REF = "#/components/schemas/{name}"
# What no caller may send is no body either.
_SENDABLE: Any = Union[tuple(kind for kind in get_args(AnySubjectEvent) if kind in MAY_SEND)]  # noqa: UP007  (`|` takes no tuple)
_TYPES = (
    EvaluationRequest,
    EvaluationAnswer,
    EvaluationsRequest,
    EvaluationsAnswer,
    Undecided,
    SubjectSearchRequest,
    SubjectsFound,
    ResourceSearchRequest,
    ResourcesFound,
    ActionSearchRequest,
    ActionsFound,
    Configuration,
    Appended,
    AppendedList,
    SubjectView,
    History,
    MayAsk,
    ChangedState,
    WatchBegins,
    WatchEnds,
    PolicyRevisions,
    PolicyRevision,
    PolicyDifference,
    Liveness,
    Readiness,
    ProblemDetails,
    _SENDABLE,
)
# What intake fills in or refuses: a body need not, or must not, say it.
_OPTIONAL_IN_BODY = ("event_id",)
_NOT_IN_BODY = ("skew_ms",)
_PROBLEM = {
    "description": "Problem details (RFC 9457); `errors` names each field by JSON pointer",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="ProblemDetails")}}},
}
_PHRASES = {200: "The answer", 201: "In the log, acknowledged by all in-sync replicas", 503: "Not now"}


def answers(*names: str, status: int = 200, also: tuple[int, ...] = (), text: bool = False) -> Document:
    """Keywords for a route of FastAPI: what it answers with, by the names of our types; `text`: or as plain text."""
    refs = [{"$ref": _REF.format(name=name)} for name in names]
    content = {"application/json": {"schema": refs[0] if len(refs) == 1 else {"anyOf": refs}}}
    if text:
        content["text/plain"] = {"schema": {"type": "string"}}
    return {
        "status_code": status,
        "responses": {
            **{code: {"description": _PHRASES[code], "content": content} for code in (status, *also)},
            "default": _PROBLEM,
        },
    }


def page(media_type: str, kind: str = "string") -> Document:
    """Keywords for a route that answers with a page of its own kind."""
    content = {media_type: {"schema": {"type": kind}}}
    # without a class of its own FastAPI would add application/json
    return {"response_class": Response, "responses": {200: {"description": _PHRASES[200], "content": content}}}


def events(*names: str) -> Document:
    """Keywords for a route that answers with server-sent events, whose data are of these types."""
    schema = {"anyOf": [{"$ref": _REF.format(name=name)} for name in names]}
    stream = {"description": "Events; the data of each is JSON", "content": {"text/event-stream": {"schema": schema}}}
    return {"response_class": Response, "responses": {200: stream, "default": _PROBLEM}}


def prompt_parameters() -> Document:
    """For openapi_extra: for which purpose, and where."""
    text = {"type": "string"}
    return {
        "parameters": [
            _parameter("purpose", "query", "For which a consent would be asked", text) | {"required": True},
            _parameter("scene", "query", "Where: a refusal in another scene does not forbid it", text),
            _parameter("user_initiated", "query", "The person does what needs the consent", {"type": "boolean"}),
            _parameter("min_position", "query", "The answer must have seen this position", text),
            REQUEST_ID,
        ]
    }


def watch_parameters(settings: Settings) -> Document:
    """For openapi_extra: whom, and from where on."""
    subjects = {"type": "array", "items": {"type": "string"}, "maxItems": settings.watch_subjects}
    return {
        "parameters": [
            _parameter("subject", "query", "May be repeated; left out: everybody", subjects),
            _parameter("Last-Event-ID", "header", "The id of the last event that was read", {"type": "string"}),
            REQUEST_ID,
        ]
    }


def event_body(settings: Settings) -> Document:
    """For openapi_extra: an event or a list of them, and what makes a request safe to repeat, or wait."""
    event = _schemas()[0]
    listed = {"type": "array", "items": event, "minItems": 1, "maxItems": settings.max_batch}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": [event, listed]}}}},
        "parameters": [
            _parameter(
                "Idempotency-Key",
                "header",
                "Instead of an event_id: the same key with the same body is one event",
                {"type": "string", "minLength": 1, "maxLength": 255},
            ),
            _parameter(
                "wait",
                "query",
                "ms to wait until the event has been folded: the answer then tells its effect",
                {"type": "integer", "minimum": 0, "maximum": settings.visible_timeout_ms},
            ),
            _parameter(
                "min_position",
                "query",
                "Judge the events by rows that have seen this position, as a guardian's by the verification's",
                {"type": "string"},
            ),
            REQUEST_ID,
        ],
    }


def history_parameters() -> Document:
    """For openapi_extra: which moment, which page, and what is asked as of then."""
    moment = {"type": "integer", "minimum": 0, "maximum": LAST_MOMENT}
    text, flag = {"type": "string"}, {"type": "boolean"}
    said: tuple[tuple[str, str, Document], ...] = (
        ("at", "ms: what had occurred by then", moment),
        ("as_known_at", "ms: what had been recorded by then", moment),
        ("cursor", "next_cursor of the page before, with the same at and as_known_at", text),
        ("operation", "of a question, with purpose and data", {"type": "string", "enum": list(Operation)}),
        ("purpose", "of a question", text),
        ("data", "of a question; may be repeated", {"type": "array", "items": text}),
        ("recipient", "of a question", text),
        ("form", "of a question", {"type": "string", "enum": list(Form)}),
        ("active", "of a question", flag),
        ("device", "of a question", text),
        ("transfer_mechanism", "of a question", text),
        ("joined_with_identity", "of a question", flag),
    )
    return {"parameters": [*(_parameter(name, "query", says, schema) for name, says, schema in said), REQUEST_ID]}


def _parameter(name: str, place: str, description: str, schema: Document) -> Document:
    return {"name": name, "in": place, "required": False, "description": description, "schema": schema}


REQUEST_ID = _parameter("X-Request-ID", "header", "Comes back with the answer", {"type": "string"})


@cache
def _schemas() -> tuple[Document, Document]:
    """The schema of any event, and all components."""
    schemas, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    for component in components.values():
        properties = component.get("properties", {})
        if "occurred_at" not in properties:
            continue
        for name in _NOT_IN_BODY:
            properties.pop(name, None)
        component["required"] = [name for name in component["required"] if name not in _OPTIONAL_IN_BODY]
        properties["evidence"] = {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}], "default": None}
    each = [{"$ref": _REF.format(name=name)} for name in ("EvaluationAnswer", "Undecided")]
    components["EvaluationsAnswer"]["properties"]["evaluations"]["items"] = {"anyOf": each}
    return schemas[-1], components


def describe(api: FastAPI) -> Document:
    """The whole API, OpenAPI 3.1: FastAPI's paths, the bare route, every type, who may ask what."""
    document = api.openapi()
    if EVALUATION_PATH in document["paths"]:
        return document  # FastAPI keeps it, and so it is complete already
    document["paths"] = {
        EVALUATION_PATH: {"post": _check("evaluate", "May this be done? (OpenID AuthZEN 1.0)", *_ONE)},
        EVALUATIONS_PATH: {"post": _check("evaluate_several", "May these be done?", *_SEVERAL)},
        SEARCH_SUBJECT_PATH: {"post": _check("search_subjects", "For whom may this be done?", *_SUBJECTS)},
        SEARCH_RESOURCE_PATH: {"post": _check("search_resources", "For what may this be done?", *_RESOURCES)},
        SEARCH_ACTION_PATH: {"post": _check("search_actions", "What may be done?", *_ACTIONS)},
        **document["paths"],
    }
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(_schemas()[1])
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _say_who_may(operation, f"{method.upper()} {path}")
    return document


_ONE = ("EvaluationRequest", "EvaluationAnswer")
_SUBJECTS = ("SubjectSearchRequest", "SubjectsFound")
_RESOURCES = ("ResourceSearchRequest", "ResourcesFound")
_ACTIONS = ("ActionSearchRequest", "ActionsFound")
_SEVERAL = ("EvaluationsRequest", "EvaluationsAnswer", "EvaluationAnswer")


def _check(name: str, summary: str, asked: str, *answered: str) -> Document:
    """A bare route, of which FastAPI knows nothing."""
    return {
        "summary": summary,
        "operationId": name,
        "tags": ["checks"],
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": _REF.format(name=asked)}}},
        },
        "responses": {str(code): answer for code, answer in answers(*answered)["responses"].items()},
    }


def _say_who_may(operation: Document, route: str) -> None:
    if route in OPEN_ROUTES:
        operation["security"] = []
        return
    roles = sorted(ROLES_OF_ROUTE.get(route, ()))
    operation["security"] = [{"bearer": []}]
    operation["description"] = f"Roles that may: {', '.join(roles) or 'none'}."
