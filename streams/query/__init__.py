"""The query node: routes, freshness, problem details. No step of `decide`.

`create_api` is in `streams.query.api`, `run_query_node` in `streams.query.node`; this package loads neither by itself,
as the command line needs the types that go over the wire, and not a server.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.query.api import create_api as create_api
    from streams.query.node import run_query_node as run_query_node

_HOMES = {"create_api": "streams.query.api", "run_query_node": "streams.query.node"}
__all__ = ["create_api", "run_query_node"]


def __getattr__(name: str) -> Any:
    """The two entrances, loaded when they are used."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
