"""`consentry incident`: data were exposed, changed or lost."""

from typing import TYPE_CHECKING
from uuid import UUID

import click

from consentry.settings import Settings
from streams.cli.declared import declare_and_tell
from streams.cli.frame import KAFKA, json_flag, with_settings
from streams.cli.times import Moment

if TYPE_CHECKING:
    from consentry.policy import AnyDeclaration


@click.group()
def incident() -> None:
    """Declare that data were exposed, changed or lost.

    \b
    Example:
      consentry incident declare --data phone --from 2026-11-20T08:00:00Z --to 2026-11-20T09:30:00Z
    """


@incident.command()
@click.option("--data", "data", multiple=True, required=True, help="A data category of the policy; may be repeated.")
@click.option("--from", "from_at", type=Moment(), required=True, help="When it began: ms, or ISO 8601.")
@click.option("--to", "to_at", type=Moment(), required=True, help="When it was over; at the latest now.")
@click.option("--reason", default="", help="What happened; it stays in the log, so name nobody.")
@with_settings(*KAFKA)
@json_flag
def declare(settings: Settings, data: tuple[str, ...], from_at: int, to_at: int, reason: str, as_json: bool) -> None:
    """Put on record which data were affected, and when.

    It changes no answer. It is kept in policy-revisions, and GET /v1/policies shows it. One that still lasts is
    declared up to now, and once more when it is over. Safe to repeat.

    \b
    Example:
      consentry incident declare --data phone --data address --from 2026-11-20T08:00:00Z \\
        --to 2026-11-20T09:30:00Z --reason "a backup was readable by all"
    """
    from consentry.events import IncidentDeclared
    from streams.wording import listed, moment

    def make(event_id: UUID, now: int) -> "AnyDeclaration":
        return IncidentDeclared(
            event_id=event_id,
            policy="",
            occurred_at=now,
            producer="consentry incident declare",
            data=tuple(dict.fromkeys(data)),
            from_at=from_at,
            to_at=to_at,
            reason=reason,
        )

    follows = f"{listed(data)}, from {moment(from_at)} to {moment(to_at)}"
    declare_and_tell(settings, make, follows, as_json=as_json)
