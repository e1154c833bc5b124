"""requires_consent for FastAPI: a dependency, which gives the route its decision.

    may_locate = requires_consent(replica, purpose="…", data="…", operation="collect", subject=account_of_the_token)

    @app.post("/positions")
    async def keep(point: Point, consent: Annotated[Decision, Depends(may_locate)]) -> None: ...

`answer_denials(app)` makes what is denied a 403 with problem details of RFC 9457; without it FastAPI puts the same
into the `detail` of its own 403.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, cast

import msgspec
from fastapi import Depends, FastAPI, HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from consentry.decision import Decision, Request
from consentry.guard.checker import Asked, ConsentDenied, ask_awaiting
from consentry.guard.problem import STATUS, details_of
from consentry.guard.question import Names, question_of
from consentry.guard.starlette import denial_of
from consentry.terms import Operation

Dependency = Callable[..., Awaitable[Decision]]


class RouteDenied(ConsentDenied, HTTPException):
    """ConsentDenied, as FastAPI answers it: 403."""

    def __init__(self, request: Request, decision: Decision) -> None:
        ConsentDenied.__init__(self, request, decision)
        HTTPException.__init__(self, STATUS, msgspec.to_builtins(details_of(decision)))  # last: both call on upwards


def requires_consent(
    checker: Asked,
    *,
    purpose: str,
    data: Names,
    operation: Operation | str,
    subject: Callable[..., Any],
    **about: Any,
) -> Dependency:
    """A dependency for one question. `subject` is a dependency itself, and gives the subject; `about` are the other
    fields of a question, as values.

    What of a question hangs on the request is asked by `requires_consent_to`.
    """
    question = question_of(purpose=purpose, data=data, operation=operation, subject=subject, **about)

    async def consent(named: Annotated[Any, Depends(subject)]) -> Decision:
        return await _allowed(checker, question.request(named))

    return consent


def requires_consent_to(checker: Asked, question: Callable[..., Request]) -> Dependency:
    """A dependency for the question that another dependency, `question`, makes of the request."""

    async def consent(asked: Annotated[Any, Depends(question)]) -> Decision:
        return await _allowed(checker, asked)

    return consent


async def _allowed(checker: Asked, request: Request) -> Decision:
    decision = await ask_awaiting(checker, request)
    if not decision.allow:
        raise RouteDenied(request, decision)
    return decision


def answer_denials(app: FastAPI) -> None:
    """What is denied, by a route's dependency or by a guarded function below it, is a 403 with problem details."""

    async def denied(_request: HttpRequest, fault: Exception) -> Response:
        return denial_of(cast("ConsentDenied", fault).decision)

    app.add_exception_handler(ConsentDenied, denied)
