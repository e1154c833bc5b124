"""`consentry worker` and `consentry serve`: what runs for long."""

import click

from consentry.errors import ConsentryError
from consentry.settings import Settings
from streams.cli.frame import KAFKA, finish, with_settings

LEVELS = ("debug", "info", "warning", "error")


@click.command()
@with_settings(*KAFKA, "worker_id", "intake_producers", "log_level")
def worker(settings: Settings) -> None:
    """Fold events into each subject's state, until Ctrl-C.

    Any number of workers share the partitions. Give each a --worker-id of its own, and a restarted one gets its
    partitions back at once.

    \b
    Example:
      consentry worker --worker-id worker-1
    """
    from streams.app import run_worker

    _check_level(settings)
    finish(run_worker(settings))


@click.command()
@with_settings(*KAFKA, "http_host", "http_port", "token_file", "log_level")
def serve(settings: Settings) -> None:
    """Answer checks and take in events, until Ctrl-C.

    Over HTTP. It holds a copy of all state, and is ready once that is complete: GET /readyz says so.

    \b
    Example:
      consentry serve --http-port 8480 --token-file tokens
    """
    from streams.logs import configure_logging
    from streams.query.node import run_query_node

    _check_level(settings)
    configure_logging(settings.log_level)
    finish(run_query_node(settings))


def _check_level(settings: Settings) -> None:
    if settings.log_level.lower() not in LEVELS:
        raise ConsentryError(
            f"{settings.log_level!r} is no level", where="log_level", remedy=f"one of {', '.join(LEVELS)}"
        )
