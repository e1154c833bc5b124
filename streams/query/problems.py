"""Problem details (RFC 9457): what every answer but a success looks like, on every path."""

import re
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from consentry.errors import ConsentryError, InvalidEvent, Problem
from consentry.terms import Position

MEDIA_TYPE = "application/problem+json"
RETRY = (("retry-after", "1"),)


class FieldError(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of one field."""

    pointer: str
    """RFC 6901: /context/active; empty: the whole body"""
    detail: str
    remedy: str = ""


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str
    """urn:consentry:problem:<code in lower case>"""
    title: str
    status: int
    detail: str
    code: str
    """stable; for programs"""
    errors: tuple[FieldError, ...] = ()
    event_ids: tuple[str, ...] = ()
    """of the events whose outcome is not known: repeat with these and nothing happens twice"""


class Refusal(ConsentryError):
    """A request that is not answered with what it asked for. `status` is HTTP's, `code` is for programs."""

    def __init__(
        self,
        what: str,
        *,
        status: int,
        code: str,
        problems: Sequence[Problem] = (),
        remedy: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        event_ids: tuple[str, ...] = (),
    ) -> None:
        self.status = status
        self.code = code
        self.problems = tuple(problems)
        self.headers = headers
        self.event_ids = event_ids
        super().__init__(what, remedy=remedy)


def unreadable(problem: Problem) -> Refusal:
    """400 for a request that cannot be understood; the problem names the field."""
    return Refusal(str(problem), status=400, code="MALFORMED", problems=(problem,))


def not_yet_visible(position: Position, remedy: str) -> Refusal:
    """503: safe to repeat."""
    return Refusal(
        f"{position} is not visible at this node yet",
        status=503,
        code="NOT_YET_VISIBLE",
        remedy=remedy,
        headers=RETRY,
    )


def refusal_of(fault: InvalidEvent) -> Refusal:
    return Refusal(fault.what, status=fault.status, code=fault.code, problems=fault.problems)


def details_of(refusal: Refusal) -> ProblemDetails:
    return ProblemDetails(
        type=f"urn:consentry:problem:{refusal.code.lower().replace('_', '-')}",
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        detail=str(refusal),
        code=refusal.code,
        errors=tuple(
            FieldError(pointer=problem.where, detail=problem.what, remedy=problem.remedy)
            for problem in refusal.problems
        ),
        event_ids=refusal.event_ids,
    )


_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]+)`")
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")


def problem_of(fault: msgspec.ValidationError, *, under: str = "") -> Problem:
    """The field that does not fit its type, by JSON pointer. `under` is the pointer of what was decoded."""
    match = _PLACE.fullmatch(str(fault))
    assert match is not None  # the pattern takes any text
    what, pointer = match["what"], under
    for step in _STEP.finditer(match["path"] or ""):
        pointer += f"/{step['name'] or step['index']}"
    missing = _MISSING.fullmatch(what)
    if missing is not None:
        pointer, what = f"{pointer}/{missing['field']}", "is required"
    return Problem(what, where=pointer)
