"""What a guard asks each time: the same purpose, data and operation, and whom and how from the call's own arguments."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from consentry.decision import Request
from consentry.errors import ConsentryError
from consentry.terms import Form, Operation, Position

T = TypeVar("T")
Names = str | Sequence[str]
Subject = str | Callable[..., Any]
"""the name of the parameter that holds the subject, or what makes it of the call's arguments"""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Each field but the first three may be a function of the call's arguments."""

    purpose: str
    data: tuple[str, ...]
    operation: Operation
    subject: Subject
    recipient: str | Callable[..., str | None] | None = None
    form: Form | Callable[..., Form] = Form.IDENTIFIABLE
    active: bool | Callable[..., bool] = False
    device: str | Callable[..., str | None] | None = None
    transfer_mechanism: str | Callable[..., str | None] | None = None
    joined_with_identity: bool | Callable[..., bool | None] | None = None
    min_position: Position | Callable[..., Position | None] | None = None

    def request(self, subject: object, *args: Any, **kwargs: Any) -> Request:
        """The question about `subject`. Raises ConsentryError where that is none."""
        if not isinstance(subject, str) or not subject:
            raise ConsentryError(f"a subject is text like account:ada, not {type(subject).__name__}")

        def said(value: Any) -> Any:
            return value(*args, **kwargs) if callable(value) else value

        active, joined = said(self.active), said(self.joined_with_identity)
        if not isinstance(active, bool) or not isinstance(joined, bool | None):
            # "false" would count as true
            raise ConsentryError("active and joined_with_identity are True or False, not what a request holds as text")
        return Request(
            subject=subject,
            operation=self.operation,
            purpose=self.purpose,
            data=self.data,
            recipient=said(self.recipient),
            form=said(self.form),
            active=active,
            device=said(self.device),
            transfer_mechanism=said(self.transfer_mechanism),
            joined_with_identity=joined,
            min_position=said(self.min_position),
        )


def question_of(*, data: Names, operation: Operation | str, **fields: Any) -> Question:
    """Raises ValueError on an operation that is none, ConsentryError where there is no data to ask about."""
    names = (data,) if isinstance(data, str) else tuple(data)
    if not names:
        raise ConsentryError("without data there is nothing to allow", where="data")
    return Question(data=names, operation=Operation(operation), **fields)


class OfCalls:
    """Where a function's calls name their subject."""

    def __init__(self, function: Callable[..., Any], subject: Subject) -> None:
        """Raises ConsentryError where the function has no such parameter."""
        self._subject = subject
        self._signature = inspect.signature(function)
        if isinstance(subject, str) and subject not in self._signature.parameters:
            raise ConsentryError(
                f"{function.__name__} has no parameter {subject}",
                where="subject",
                remedy="name the one that holds the subject, or give a function of the call's arguments",
            )

    def subject_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Raises TypeError on arguments that do not fit the function."""
        if callable(self._subject):
            return self._subject(*args, **kwargs)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments[self._subject]
