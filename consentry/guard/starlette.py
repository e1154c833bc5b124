"""requires_consent for Starlette's endpoints: a request that may not be served is answered 403, with the reason.

    @requires_consent(replica, purpose="…", data="…", operation="collect", subject=lambda request: request.user.subject)
    async def keep(request: Request) -> Response: ...

For FastAPI see `consentry.guard.fastapi`.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from consentry.decision import Decision
from consentry.guard.checker import Asked, ask_awaiting
from consentry.guard.problem import MEDIA_TYPE, STATUS, body_of
from consentry.guard.question import Names, question_of
from consentry.terms import Operation

Endpoint = Callable[[Request], Awaitable[Response]]


def requires_consent(
    checker: Asked,
    *,
    purpose: str,
    data: Names,
    operation: Operation | str,
    subject: Callable[[Request], Any],
    **about: Any,
) -> Callable[[Endpoint], Endpoint]:
    """A decorator for an endpoint that is a coroutine of a request.

    `subject` gives the subject of a request, awaited or not; `about` are the other fields of a question, each a value
    or a function of the request. The decision is in `request.state.consent`.
    """
    question = question_of(purpose=purpose, data=data, operation=operation, subject=subject, **about)

    def guard(endpoint: Endpoint) -> Endpoint:
        @functools.wraps(endpoint)
        async def guarded(request: Request) -> Response:
            named = subject(request)
            if inspect.isawaitable(named):
                named = await named
            decision = await ask_awaiting(checker, question.request(named, request))
            if not decision.allow:
                return denial_of(decision)
            request.state.consent = decision
            return await endpoint(request)

        return guarded

    return guard


def denial_of(decision: Decision) -> Response:
    """403, as problem details."""
    return Response(body_of(decision), status_code=STATUS, media_type=MEDIA_TYPE)
