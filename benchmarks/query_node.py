"""Under test: a query node as `consentry serve` runs it. It only says where it listens."""

import logging
import sys

from benchmarks.children import Said, end_with_parent, say
from consentry.settings import load_settings
from streams.query import run_query_node


def announce(url: str) -> None:
    say(Said(event="listening", text=url))


if __name__ == "__main__":
    end_with_parent()
    logging.basicConfig(level=logging.WARNING)
    sys.exit(run_query_node(load_settings(), on_listening=announce))
