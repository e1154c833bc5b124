"""Guarded routes: a request that may not be served is answered 403, with the reason and the clause, and not served."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx2
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from fastapi import Depends, FastAPI, Header
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import consentry as public
from consentry.decision import Decision
from consentry.guard import aiohttp as for_aiohttp
from consentry.guard import fastapi as for_fastapi
from consentry.guard import starlette as for_starlette
from consentry.terms import Operation
from consentry.testing import InMemoryConsentry

REFERENCE = Path(__file__).parents[2] / "examples" / "policies" / "reference-v1.yaml"
HOME = "recommendation.personalised"
ASKS: dict[str, Any] = {"purpose": HOME, "data": "behaviour", "operation": "use"}
Calls = Callable[[str], Awaitable[tuple[int, str, dict[str, Any]]]]


@pytest.fixture
def consentry() -> InMemoryConsentry:
    return InMemoryConsentry(REFERENCE)


class Served:
    """What the routes have done."""

    def __init__(self) -> None:
        self.subjects: list[str] = []


def fastapi_app(checker: Any, served: Served) -> FastAPI:
    app = FastAPI()
    for_fastapi.answer_denials(app)

    def account(x_account: Annotated[str, Header()]) -> str:
        return x_account

    may_recommend = for_fastapi.requires_consent(checker, subject=account, **ASKS)

    @app.get("/")
    async def recommend(
        who: Annotated[str, Depends(account)], consent: Annotated[Decision, Depends(may_recommend)]
    ) -> dict[str, str]:
        served.subjects.append(who)
        return {"evidence": consent.evidence[0]}

    return app


def starlette_app(checker: Any, served: Served) -> Starlette:
    @for_starlette.requires_consent(checker, subject=lambda request: request.headers["x-account"], **ASKS)
    async def recommend(request: Request) -> Response:
        served.subjects.append(request.headers["x-account"])
        return JSONResponse({"evidence": request.state.consent.evidence[0]})

    return Starlette(routes=[Route("/", recommend)])


def aiohttp_app(checker: Any, served: Served) -> web.Application:
    async def account(request: web.Request) -> str:
        return request.headers["x-account"]

    @for_aiohttp.requires_consent(checker, subject=account, **ASKS)
    async def recommend(request: web.Request) -> web.StreamResponse:
        served.subjects.append(request.headers["x-account"])
        return web.json_response({"evidence": request[for_aiohttp.CONSENT].evidence[0]})

    app = web.Application()
    app.router.add_get("/", recommend)
    return app


@asynccontextmanager
async def asgi(app: Any) -> AsyncIterator[Calls]:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:

        async def call(account: str) -> tuple[int, str, dict[str, Any]]:
            answer = await client.get("/", headers={"x-account": account})
            media_type = answer.headers["content-type"]
            return answer.status_code, media_type, answer.json() if "json" in media_type else {}

        yield call


@asynccontextmanager
async def aiohttp_server(app: web.Application) -> AsyncIterator[Calls]:
    async with TestClient(TestServer(app)) as client:

        async def call(account: str) -> tuple[int, str, dict[str, Any]]:
            async with client.get("/", headers={"x-account": account}) as answer:
                media_type = answer.headers["content-type"]
                return answer.status, media_type, json.loads(await answer.read()) if "json" in media_type else {}

        yield call


FRAMEWORKS = [
    pytest.param(lambda *how: asgi(fastapi_app(*how)), id="fastapi"),
    pytest.param(lambda *how: asgi(starlette_app(*how)), id="starlette"),
    pytest.param(lambda *how: aiohttp_server(aiohttp_app(*how)), id="aiohttp"),
]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_route_is_served_with_consent_and_knows_what_it_rests_on(
    framework: Any, consentry: InMemoryConsentry
) -> None:
    consentry.person("account:ada").gives(HOME)
    served = Served()
    for checker in (consentry, consentry.awaited):
        async with framework(checker, served) as call:
            status, _, body = await call("account:ada")
            assert (status, body) == (200, {"evidence": str(consentry.log.appended[0].event.event_id)})
    assert served.subjects == ["account:ada"] * 2


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_route_is_not_served_without_it_and_says_why(framework: Any, consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").refuses(HOME)
    served = Served()
    async with framework(consentry, served) as call:
        status, media_type, body = await call("account:ada")
    assert (status, media_type.partition(";")[0], served.subjects) == (403, "application/problem+json", [])
    assert body == {
        "type": "urn:consentry:problem:consent_denied",
        "title": "Consent denied",
        "status": 403,
        "code": "CONSENT_DENIED",
        "detail": "this may not be done with these data: REFUSED (clause P-2)",
        "reason": "REFUSED",
        "clause": "P-2",
        "may_ask": False,
        "ask_after": consentry.log.appended[0].recorded_at + 48 * 3_600_000,
    }


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_checker_that_raises_denies(framework: Any) -> None:
    class Raising:
        def check(self, _request: public.Request) -> Decision:
            raise RuntimeError("the checker is broken")

    served = Served()
    async with framework(Raising(), served) as call:
        status, _, body = await call("account:ada")
    assert (status, body["reason"], served.subjects) == (403, "STALE", [])


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_a_request_of_nobody_is_not_served(framework: Any, consentry: InMemoryConsentry) -> None:
    served = Served()
    async with framework(consentry, served) as call:
        status, _, _ = await call("")
    assert (status, served.subjects) == (500, [])  # a fault of the service: it has to know whom it asks about


async def test_without_a_handler_fastapi_still_answers_403_with_the_reason(consentry: InMemoryConsentry) -> None:
    app = FastAPI()
    may = for_fastapi.requires_consent(consentry, subject=lambda: "account:ada", **ASKS)

    @app.get("/", dependencies=[Depends(may)])
    async def recommend() -> None: ...

    async with asgi(app) as call:
        status, _, body = await call("account:ada")
    assert (status, body["detail"]["reason"], body["detail"]["clause"]) == (403, "NO_CONSENT", "P-1")


async def test_a_question_may_hang_on_the_request(consentry: InMemoryConsentry) -> None:
    consentry.person("account:ada").gives("recommendation.nearby").permits("location")
    app = FastAPI()

    def question(x_account: Annotated[str, Header()]) -> public.Request:
        return public.Request(
            subject="account:ada",
            operation=Operation.COLLECT,
            purpose="recommendation.nearby",
            data=("gps_precise",),
            active=x_account == "on the map",
        )

    @app.get("/", dependencies=[Depends(for_fastapi.requires_consent_to(consentry, question))])
    async def locate() -> dict[str, bool]:
        return {"located": True}

    async with asgi(app) as call:
        assert (await call("on the map"))[0] == 200
        status, _, body = await call("elsewhere")
        assert (status, body["detail"]["reason"]) == (403, "FEATURE_NOT_ACTIVE")


async def test_a_guarded_function_below_a_route_is_answered_the_same(consentry: InMemoryConsentry) -> None:
    app = FastAPI()
    for_fastapi.answer_denials(app)

    @public.requires_consent(consentry, subject="who", **ASKS)
    def recommend(who: str) -> str:
        return who

    @app.get("/")
    async def route() -> str:
        return recommend("account:ada")

    async with asgi(app) as call:
        status, media_type, body = await call("account:ada")
    assert (status, media_type, body["reason"]) == (403, "application/problem+json", "NO_CONSENT")
