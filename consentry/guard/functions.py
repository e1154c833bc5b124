"""requires_consent: a function that runs only where it may; else ConsentDenied is raised, and nothing of it has run."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from consentry.errors import ConsentryError
from consentry.guard.checker import Asked, ConsentDenied, ask, ask_awaiting
from consentry.guard.question import Names, OfCalls, Question, Subject, question_of
from consentry.terms import Form, Operation, Position

P = ParamSpec("P")
R = TypeVar("R")


def requires_consent(
    checker: Asked,
    *,
    purpose: str,
    data: Names,
    operation: Operation | str,
    subject: Subject,
    recipient: str | Callable[..., str | None] | None = None,
    form: Form | Callable[..., Form] = Form.IDENTIFIABLE,
    active: bool | Callable[..., bool] = False,
    device: str | Callable[..., str | None] | None = None,
    transfer_mechanism: str | Callable[..., str | None] | None = None,
    joined_with_identity: bool | Callable[..., bool | None] | None = None,
    min_position: Position | Callable[..., Position | None] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for functions and coroutines: each call asks first, and raises ConsentDenied where it may not be.

    `subject` names the parameter that holds it (`account:ada`), or makes it of the call's arguments; what bears on the
    question besides may be a value or made of them, too. A checker that raises is a DENY. Raises ConsentryError on a
    parameter that the function does not have, and on an asynchronous generator.
    """
    question = question_of(
        purpose=purpose,
        data=data,
        operation=operation,
        subject=subject,
        recipient=recipient,
        form=form,
        active=active,
        device=device,
        transfer_mechanism=transfer_mechanism,
        joined_with_identity=joined_with_identity,
        min_position=min_position,
    )

    def guard(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isasyncgenfunction(function):
            raise ConsentryError(
                "an asynchronous generator asks nobody when it is called", remedy="guard what reads it"
            )
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, R]", _guarded_coroutine(function, checker, question))
        return _guarded(function, checker, question)

    return guard


def _guarded(function: Callable[P, R], checker: Asked, question: Question) -> Callable[P, R]:
    calls = OfCalls(function, question.subject)

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        request = question.request(calls.subject_of(args, kwargs), *args, **kwargs)
        decision = ask(checker, request)
        if not decision.allow:
            raise ConsentDenied(request, decision)
        return function(*args, **kwargs)

    return guarded


def _guarded_coroutine(function: Callable[..., Any], checker: Asked, question: Question) -> Callable[..., Any]:
    calls = OfCalls(function, question.subject)

    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        request = question.request(calls.subject_of(args, kwargs), *args, **kwargs)
        decision = await ask_awaiting(checker, request)
        if not decision.allow:
            raise ConsentDenied(request, decision)
        return await function(*args, **kwargs)

    return guarded
