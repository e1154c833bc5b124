"""`consentry audit`: the log itself answers, for any moment."""

import click

from consentry.errors import ConsentryError
from consentry.settings import Settings
from consentry.terms import Operation
from streams.cli.frame import KAFKA, json_flag, with_settings
from streams.cli.times import Moment


@click.group()
def audit() -> None:
    """Ask the log itself, for any moment.

    \b
    Example:
      consentry audit replay --subject account:42 --at 2026-11-24T12:00:00Z
    """


@audit.command()
@click.option("--subject", required=True, help="Whom it is about, such as account:42.")
@click.option("--at", type=Moment(), help="What had occurred by then: ms or ISO 8601; now where it is left out.")
@click.option("--as-known-at", type=Moment(), help="What had been recorded by then.")
@click.option(
    "--operation",
    type=click.Choice([operation.value for operation in Operation]),
    help="With --purpose and --data: the decision then.",
)
@click.option("--purpose", help="A purpose of the policy.")
@click.option("--data", multiple=True, help="A data category; may be repeated.")
@click.option("--active", is_flag=True, help="The function that needs it was in use.")
@click.option("--device", help="Whose system permissions count.")
@with_settings(*KAFKA)
@json_flag
def replay(
    settings: Settings,
    subject: str,
    at: int | None,
    as_known_at: int | None,
    operation: str | None,
    purpose: str | None,
    data: tuple[str, ...],
    active: bool,
    device: str | None,
    as_json: bool,
) -> None:
    """Show a subject's events, state and decision at a moment.

    It asks no worker and no node: it reads the log, and decides as they do.

    \b
    Example:
      consentry audit replay --subject account:42 --at 2026-11-24T12:00:00Z \\
        --operation collect --purpose delivery --data address
    """
    asked = (settings, subject, at, as_known_at, operation, purpose, data, active, device, as_json)
    raise ConsentryError(f"{len(asked)} things asked, none answered yet", where="audit replay")
