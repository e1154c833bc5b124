"""requires_consent for aiohttp's handlers: a request that may not be served is answered 403, with the reason.

@requires_consent(replica, purpose="…", data="…", operation="collect", subject=lambda request: request["account"])
async def keep(request: web.Request) -> web.Response: ...
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from consentry.decision import Decision
from consentry.guard.checker import Asked, ask_awaiting
from consentry.guard.problem import MEDIA_TYPE, STATUS, body_of
from consentry.guard.question import Names, question_of
from consentry.terms import Operation

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONSENT: Any = web.RequestKey("consent", Decision) if hasattr(web, "RequestKey") else "consentry.consent"
"""`request[CONSENT]` of a request that is served: the decision. Before aiohttp 3.14 keys were text."""


def requires_consent(
    checker: Asked,
    *,
    purpose: str,
    data: Names,
    operation: Operation | str,
    subject: Callable[[web.Request], Any],
    **about: Any,
) -> Callable[[Handler], Handler]:
    """A decorator for a handler that is a coroutine of a request.

    `subject` gives the subject of a request, awaited or not; `about` are the other fields of a question, each a value
    or a function of the request.
    """
    question = question_of(purpose=purpose, data=data, operation=operation, subject=subject, **about)

    def guard(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def guarded(request: web.Request) -> web.StreamResponse:
            named = subject(request)
            if inspect.isawaitable(named):
                named = await named
            decision = await ask_awaiting(checker, question.request(named, request))
            if not decision.allow:
                return web.Response(status=STATUS, body=body_of(decision), content_type=MEDIA_TYPE)
            request[CONSENT] = decision
            return await handler(request)

        return guarded

    return guard
