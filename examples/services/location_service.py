"""A service that keeps where somebody is only where it may, and deletes it once they end that. With a Kafka address in
CONSENTRY_BOOTSTRAP_SERVERS: uvicorn --factory location_service:create_app
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, Header
from pydantic import BaseModel

from consentry import ConsentReplica, Decision, Operation, Request, load_settings
from consentry.decision import Duty
from consentry.guard.checker import AnyChecker
from consentry.guard.fastapi import answer_denials, requires_consent_to


class Point(BaseModel):
    latitude: float
    longitude: float


class Kept(BaseModel):
    point: Point
    evidence: tuple[str, ...]  # the events that allowed to collect it
    position: str  # up to where the answer had seen the log


def account(x_account: Annotated[str, Header()]) -> str:
    return f"account:{x_account}"  # in earnest this comes out of a session or a token


Account = Annotated[str, Depends(account)]


def question(subject: str, operation: Operation, **more: bool) -> Request:
    return Request(subject=subject, operation=operation, purpose="recommendation.nearby", data=("gps_precise",), **more)


def to_collect(subject: Account, x_screen: Annotated[str, Header()] = "") -> Request:
    return question(subject, Operation.COLLECT, active=x_screen == "map")


async def forget(replica: ConsentReplica, positions: dict[str, list[Kept]]) -> None:
    async for changed in replica.changes():
        if Duty.DELETE_OR_ANONYMISE in replica.check(question(changed.subject, Operation.STORE)).obligations:
            positions.pop(changed.subject, None)


def create_app(checker: AnyChecker | None = None) -> FastAPI:
    """`checker`: whom a test lets answer; else a copy of all consents in this process does."""
    positions: dict[str, list[Kept]] = defaultdict(list)
    replica = ConsentReplica(load_settings())

    @asynccontextmanager
    async def following(_app: FastAPI) -> AsyncIterator[None]:
        await replica.start()
        forgetting = asyncio.create_task(forget(replica, positions))
        yield
        forgetting.cancel()
        await replica.stop()

    app = FastAPI(lifespan=None if checker is not None else following)
    answer_denials(app)
    may_collect = requires_consent_to(checker or replica, to_collect)

    @app.post("/positions", status_code=201)
    async def keep(point: Point, subject: Account, consent: Annotated[Decision, Depends(may_collect)]) -> Kept:
        positions[subject].append(Kept(point=point, evidence=consent.evidence, position=str(consent.position)))
        return positions[subject][-1]

    @app.get("/positions")
    async def own(subject: Account) -> list[Kept]:
        return positions.get(subject, [])

    return app
