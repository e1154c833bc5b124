"""The node's HTTP API: one ASGI application, its checks on a bare route, its documentation by FastAPI."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from consentry.authzen import CONFIGURATION_PATH, Configuration
from consentry.errors import ConsentryError, Problem
from consentry.intake import Caller
from consentry.settings import Settings
from consentry.terms import ENGINE_VERSION
from streams.access import Access
from streams.query import metrics as exposition
from streams.query import problems
from streams.query.answering import Answering
from streams.query.answers import NO_STORE, Fields, Send, broken, request_id_of, send_refusal
from streams.query.authzen import CheckRoute, EvaluationRoute, EvaluationsRoute
from streams.query.body import Gone, Message, Receive, prefers_text
from streams.query.events import EventDoor
from streams.query.health import liveness, readiness
from streams.query.history import Historian
from streams.query.metrics import Metrics
from streams.query.openapi import (
    answers,
    describe,
    event_body,
    events,
    history_parameters,
    page,
    prompt_parameters,
    watch_parameters,
)
from streams.query.policies import policy_difference, policy_revision, policy_revisions, text_of
from streams.query.problems import Refusal
from streams.query.prompts import may_ask
from streams.query.reference_page import reference_page
from streams.query.roles import OPEN_ROUTES, authorise
from streams.query.seams import Clock, Ends, Log, Replica, Writer, wall_clock_ms
from streams.query.search import ActionSearchRoute, ResourceSearchRoute, SubjectSearchRoute
from streams.query.subjects import subject_view
from streams.query.watch import Stream, watch_of
from streams.query.watching import Watching
from streams.replay import LogReader

_encoder = msgspec.json.Encoder()
_PUBLIC_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


class Api(FastAPI):
    """FastAPI, but for the check routes, which it documents and does not slow down."""

    checks: Mapping[str, CheckRoute]
    watching: Watching
    """to be closed before the server stops"""

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
        elif scope["method"] == "POST" and (check := self.checks.get(scope["path"])) is not None:
            await check(scope, receive, send)
        else:
            await self._routed(scope, receive, send)

    async def _routed(self, scope: Any, receive: Receive, send: Send) -> None:
        """As the bare route has it: never cached, the request id echoed, problem details whatever breaks."""
        fields: Fields = [NO_STORE, *request_id_of(scope["headers"])]
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], *fields]
            await send(message)

        try:
            await super().__call__(scope, receive, send_marked)
        except Exception:  # it has been logged, and the caller gets an answer
            if not started:
                await send_refusal(send, broken("unknown"), fields[1:])


def create_api(
    settings: Settings,
    replica: Replica,
    writer: Writer,
    access: Access,
    *,
    log: Log | None = None,
    ends: Ends | None = None,
    clock: Clock = wall_clock_ms,
) -> Api:
    """The application. It owns none of its parts: whoever starts them stops them.

    `log`: where histories are read; None: in Kafka, by the settings. `ends`: for metrics; None: they tell no lag.
    """
    metrics = Metrics(replica, ends)
    api = Api(
        title="Consentry",
        version=ENGINE_VERSION,
        summary="Ask before you collect.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        dependencies=[Depends(_guard(access))],
    )
    answering = Answering(settings, replica, metrics, clock)
    routes = (EvaluationRoute, EvaluationsRoute, SubjectSearchRoute, ResourceSearchRoute, ActionSearchRoute)
    api.checks = {kind.path: kind(settings, access, answering, metrics) for kind in routes}
    # so that another method is told which one is right
    api.router.routes.extend(Route(path, check, methods=["POST"]) for path, check in api.checks.items())
    _add_events(api, settings, EventDoor(settings, replica, writer, metrics, clock))
    _add_readings(api, settings, replica, clock)
    _add_history(api, Historian(settings, replica, log or LogReader(settings), clock))
    _add_prompt(api, settings, replica, clock)
    api.watching = Watching(settings, replica, metrics)
    _add_watch(api, settings, replica, metrics)
    _add_configuration(api, settings)
    _add_operations(api, replica, metrics)
    _answer_with_problems(api, metrics)
    return api


def _route_of(request: Request) -> str:
    """As the table of roles names it; never the path itself, which may hold a subject."""
    route = request.scope.get("route")
    return f"{request.method} {route.path_format}" if route is not None else "unknown"


def _json(answer: object, status: int = 200) -> Response:
    return Response(_encoder.encode(answer), status, media_type="application/json")


def _guard(access: Access) -> Callable[[Request], Awaitable[Caller | None]]:
    """Of every route that FastAPI serves: one that the table of roles does not name is nobody's."""

    async def guard(request: Request) -> Caller | None:
        route = _route_of(request)
        if route in OPEN_ROUTES:
            return None
        caller = authorise(route, request.scope["headers"], access)
        request.state.caller = caller
        return caller

    return guard


def _add_events(api: Api, settings: Settings, door: EventDoor) -> None:
    @api.post(
        "/v1/events",
        summary="Record what happened",
        tags=["events"],
        openapi_extra=event_body(settings),
        **answers("Appended", "AppendedList", status=201),
    )
    async def append_events(request: Request) -> Response:
        return await door.take(request, request.state.caller)


def _add_readings(api: Api, settings: Settings, replica: Replica, clock: Clock) -> None:
    @api.get(
        "/v1/subjects/{subject}",
        summary="What is known of a subject",
        tags=["subjects"],
        **answers("SubjectView"),
    )
    async def get_subject(subject: str) -> Response:
        return _json(subject_view(subject, settings, replica, clock()))

    @api.get("/v1/policies", summary="The revisions of the policy", tags=["policies"], **answers("PolicyRevisions"))
    async def list_policies() -> Response:
        return _json(policy_revisions(replica.policies, clock()))

    @api.get(
        "/v1/policies/{former}..{version}",
        summary="What revisions changed, as JSON or with Accept: text/plain as people read it",
        tags=["policies"],
        **answers("PolicyDifference", text=True),
    )
    async def compare_policies(former: int, version: int, request: Request) -> Response:
        found = policy_difference(former, version, replica.policies)
        if prefers_text(request.headers.getlist("accept")):
            return Response(text_of(found), media_type="text/plain")
        return _json(found)

    @api.get("/v1/policies/{version}", summary="One revision, whole", tags=["policies"], **answers("PolicyRevision"))
    async def get_policy(version: int) -> Response:
        return _json(policy_revision(version, replica.policies, clock()))


def _add_history(api: Api, historian: Historian) -> None:
    @api.get(
        "/v1/subjects/{subject}/history",
        summary="What the log says of a subject as of any moment",
        tags=["subjects"],
        openapi_extra=history_parameters(),
        **answers("History"),
    )
    async def get_history(subject: str, request: Request) -> Response:
        return _json(await historian.tell(subject, request.query_params))


def _add_prompt(api: Api, settings: Settings, replica: Replica, clock: Clock) -> None:
    @api.get(
        "/v1/subjects/{subject}/prompt",
        summary="May the person be asked now?",
        tags=["subjects"],
        openapi_extra=prompt_parameters(),
        **answers("MayAsk"),
    )
    async def get_prompt(subject: str, request: Request) -> Response:
        return _json(await may_ask(subject, request.query_params, settings, replica, clock))


def _add_watch(api: Api, settings: Settings, replica: Replica, metrics: Metrics) -> None:
    @api.get(
        "/v1/watch",
        summary="Each change of a subject's state, as server-sent events",
        tags=["subjects"],
        openapi_extra=watch_parameters(settings),
        **events("ChangedState", "WatchBegins", "WatchEnds"),
    )
    async def watch_changes(request: Request) -> Response:
        last_event_id = request.headers.get("last-event-id", "")
        asked = watch_of(request.query_params, last_event_id, settings, replica.identity.epoch)
        return Stream(asked, api.watching, replica, settings, metrics)


def _add_configuration(api: Api, settings: Settings) -> None:
    known = settings.public_url.rstrip("/")
    if known and not _PUBLIC_URL.fullmatch(known):
        raise ConsentryError(
            f"{known[:128]!r} is no URL of a node",
            where="public_url",
            remedy="https://host or https://host/path, without ? and #",
        )

    @api.get(CONFIGURATION_PATH, summary="Where an AuthZEN client asks", tags=["checks"], **answers("Configuration"))
    async def configuration(request: Request) -> Response:
        """As `public_url` names this node, or else as the caller reached it."""
        return _json(Configuration.at(known or str(request.base_url).rstrip("/")))


def _add_operations(api: Api, replica: Replica, metrics: Metrics) -> None:
    @api.get("/livez", summary="Whether the process answers", tags=["operations"], **answers("Liveness"))
    async def live() -> Response:
        return _json(liveness())

    @api.get("/readyz", summary="Whether it may be asked", tags=["operations"], **answers("Readiness", also=(503,)))
    async def ready() -> Response:
        state = readiness(replica)
        return _json(state, 200 if state.ready else 503)

    @api.get("/metrics", summary="For Prometheus", tags=["operations"], **page("text/plain"))
    async def scrape() -> Response:
        return Response(metrics.exposition(), media_type=exposition.MEDIA_TYPE)

    @api.get("/openapi.json", summary="This API", tags=["operations"], **page("application/json", kind="object"))
    async def document() -> Response:
        return _json(describe(api))

    @api.get("/docs", summary="This API, to read", tags=["operations"], **page("text/html"))
    async def read() -> Response:
        return Response(reference_page(describe(api)), media_type="text/html")


def _answer_with_problems(api: Api, metrics: Metrics) -> None:
    def answer(request: Request, refusal: Refusal) -> Response:
        metrics.refused(_route_of(request), refusal.code)
        return Response(
            _encoder.encode(problems.details_of(refusal)),
            refusal.status,
            dict(refusal.headers),
            problems.MEDIA_TYPE,
        )

    @api.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        return answer(request, refusal)

    @api.exception_handler(Exception)
    async def broke(request: Request, _fault: Exception) -> Response:
        return answer(request, broken(_route_of(request)))

    @api.exception_handler(HTTPException)
    async def not_routed(request: Request, fault: HTTPException) -> Response:
        code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(fault.status_code, "REFUSED")
        headers = tuple((fault.headers or {}).items())
        return answer(request, Refusal(str(fault.detail), status=fault.status_code, code=code, headers=headers))

    @api.exception_handler(RequestValidationError)
    async def not_valid(request: Request, fault: RequestValidationError) -> Response:
        faults = [
            Problem(error["msg"], where="/" + "/".join(str(step) for step in error["loc"])) for error in fault.errors()
        ]
        refusal = Refusal(str(faults[0]), status=400, code="MALFORMED", problems=faults)
        return answer(request, refusal)

    @api.exception_handler(Gone)
    async def gone(_request: Request, _fault: Gone) -> Response:
        return Response(status_code=400)  # nobody reads it
