"""A request's query parameters, typed. A parameter that is none is refused: a misspelt one would ask something else."""

from collections.abc import Collection
from typing import TypeVar

from starlette.datastructures import QueryParams

from consentry.errors import ConsentryError, Problem
from consentry.terms import Form, Operation, Position
from streams.query.problems import unreadable

LAST_MOMENT = 253_402_300_799_999
"""ms: the end of the year 9999"""
Term = TypeVar("Term", Operation, Form)


def only_known(params: QueryParams, known: Collection[str]) -> None:
    for name in params:
        if name not in known:
            raise unreadable(Problem(f"{name[:64]!r} is no parameter", where="?", remedy=f"known: {', '.join(known)}"))


def moment(params: QueryParams, name: str) -> int | None:
    """ms since the epoch."""
    text = params.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) > LAST_MOMENT:
        raise unreadable(Problem(f"{text[:32]!r} is no time in ms since the epoch", where=f"?{name}"))
    return int(text)


def min_position(params: QueryParams) -> Position | None:
    text = params.get("min_position")
    if text is None:
        return None
    try:
        return Position.parse(text)
    except ConsentryError as fault:
        raise unreadable(Problem(fault.what, where="?min_position", remedy=fault.remedy)) from fault


def flag(params: QueryParams, name: str) -> bool:
    """False where nothing is said."""
    text = params.get(name, "false")
    if text not in ("true", "false"):
        raise unreadable(Problem(f"{text[:32]!r} is neither true nor false", where=f"?{name}"))
    return text == "true"


def term(params: QueryParams, name: str, kind: type[Term], default: Term) -> Term:
    text = params.get(name, default)
    try:
        return kind(text)
    except ValueError:
        raise unreadable(Problem(f"{text[:32]!r} is none of {', '.join(kind)}", where=f"?{name}")) from None
