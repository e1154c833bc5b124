"""The check API, OpenID AuthZEN 1.0, as bare ASGI routes: one question, or several at once."""

import asyncio
from time import perf_counter
from typing import Any

import msgspec

from consentry.authzen import (
    EVALUATION_PATH,
    EVALUATIONS_PATH,
    Action,
    EvaluationAnswer,
    EvaluationsAnswer,
    Failure,
    FailureContext,
    Options,
    Resource,
    Semantic,
    Subject,
    Undecided,
)
from consentry.errors import Problem
from consentry.settings import Settings
from streams.access import Access
from streams.query.answering import Answering
from streams.query.answers import Send, broken, encode, request_id_of, send_json, send_refusal
from streams.query.body import Gone, Receive, check_depth, check_media_type, decode, read_body
from streams.query.metrics import Metrics
from streams.query.problems import Refusal, unreadable
from streams.query.question import Received
from streams.query.roles import authorise

Given = msgspec.Raw | msgspec.UnsetType
QUESTIONS_AT_A_TIME = 50
"""then others get their turn"""


class CheckRoute:
    """An ASGI application of one route. Whatever goes wrong inside, it is not an ALLOW."""

    path: str

    def __init__(self, settings: Settings, access: Access, answering: Answering, metrics: Metrics) -> None:
        self._settings = settings
        self._access = access
        self._answering = answering
        self._metrics = metrics
        self._seconds = metrics.evaluation_seconds

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        started = perf_counter()
        route = f"POST {self.path}"
        headers = scope["headers"]
        fields = request_id_of(headers)
        try:
            authorise(route, headers, self._access)
            check_media_type(headers)
            body = await read_body(headers, receive, self._settings)
            check_depth(body, self._settings.max_json_depth)
            answer = encode(await self._answer(body))
        except Gone:
            return
        except Refusal as refusal:
            self._metrics.refused(route, refusal.code)
            await send_refusal(send, refusal, fields)
            return
        except Exception:  # whatever it is, the caller gets an answer and it denies
            await send_refusal(send, broken(route), fields)
            return
        self._seconds.observe(perf_counter() - started)
        await send_json(send, 200, answer, fields)

    async def _answer(self, body: bytes) -> object:
        raise NotImplementedError


class EvaluationRoute(CheckRoute):
    path = EVALUATION_PATH

    async def _answer(self, body: bytes) -> EvaluationAnswer:
        return await self._answering.answer(decode(_received, body))


class EvaluationsRoute(CheckRoute):
    """Several questions, each with what the request says for all of them where it does not say it itself."""

    path = EVALUATIONS_PATH

    async def _answer(self, body: bytes) -> EvaluationAnswer | EvaluationsAnswer:
        batch = decode(_batch, body)
        if not batch.evaluations:  # as the specification has it: then it is one question
            return await self._answering.answer(decode(_received, body))
        limit = self._settings.max_batch
        if len(batch.evaluations) > limit:
            what = f"{len(batch.evaluations)} evaluations, {limit} at the most"
            raise unreadable(Problem(what, where="/evaluations"))
        until_s = self._answering.patience_s()
        stop_at = _STOPS_AT[batch.options.evaluations_semantic]
        answers: list[msgspec.Raw] = []
        for place, parts in enumerate(batch.evaluations):
            answer = await self._one(parts, batch, until_s)
            answers.append(msgspec.Raw(encode(answer)))
            if answer.decision is stop_at:
                break
            if place % QUESTIONS_AT_A_TIME == QUESTIONS_AT_A_TIME - 1:
                await asyncio.sleep(0)
        return EvaluationsAnswer(evaluations=tuple(answers))

    async def _one(self, parts: "_Parts", batch: "_Batch", until_s: float) -> EvaluationAnswer | Undecided:
        """A question that cannot be asked denies, and says why; the others are answered all the same."""
        try:
            return await self._answering.answer(_with_defaults(parts, batch), until_s)
        except Refusal as refusal:
            failure = Failure(status=refusal.status, message=str(refusal))
            return Undecided(decision=False, context=FailureContext(error=failure))


class _Parts(msgspec.Struct, frozen=True, kw_only=True):
    """A question of which any part may be left out."""

    subject: Given = msgspec.UNSET
    action: Given = msgspec.UNSET
    resource: Given = msgspec.UNSET
    context: Given = msgspec.UNSET
    at: Given = msgspec.UNSET


class _Batch(_Parts, frozen=True, kw_only=True):
    evaluations: tuple[_Parts, ...] = ()
    options: Options = Options()


_received = msgspec.json.Decoder(Received)
_batch = msgspec.json.Decoder(_Batch)
_subject = msgspec.json.Decoder(Subject)
_action = msgspec.json.Decoder(Action)
_resource = msgspec.json.Decoder(Resource)
_STOPS_AT = {
    Semantic.EXECUTE_ALL: None,
    Semantic.DENY_ON_FIRST_DENY: False,
    Semantic.PERMIT_ON_FIRST_PERMIT: True,
}


def _with_defaults(parts: _Parts, batch: _Batch) -> Received:
    return Received(
        subject=decode(_subject, _given("subject", parts.subject, batch.subject), under="/subject"),
        action=decode(_action, _given("action", parts.action, batch.action), under="/action"),
        resource=decode(_resource, _given("resource", parts.resource, batch.resource), under="/resource"),
        context=batch.context if parts.context is msgspec.UNSET else parts.context,
        at=batch.at if parts.at is msgspec.UNSET else parts.at,
    )


def _given(name: str, own: Given, default: Given) -> msgspec.Raw:
    found = default if own is msgspec.UNSET else own
    if found is msgspec.UNSET:
        raise unreadable(Problem("is required", where=f"/{name}"))
    return found
