"""The query node: routes, freshness, problem details. No step of `decide`."""

from streams.query.api import create_api
from streams.query.node import run_query_node

__all__ = ["create_api", "run_query_node"]
