"""`consentry service`: the end of the service."""

from typing import TYPE_CHECKING
from uuid import UUID

import click

from consentry.settings import Settings
from streams.cli.declared import declare_and_tell, require_yes, yes_flag
from streams.cli.frame import KAFKA, json_flag, with_settings
from streams.cli.times import Moment

if TYPE_CHECKING:
    from consentry.policy import AnyDeclaration


@click.group()
def service() -> None:
    """Declare that the service ends.

    \b
    Example:
      consentry service discontinue --effective-at 2027-01-01T00:00:00Z --yes
    """


@service.command()
@click.option("--effective-at", type=Moment(), required=True, help="From when: ms, or ISO 8601. Still to come.")
@yes_flag
@with_settings(*KAFKA)
@json_flag
def discontinue(settings: Settings, effective_at: int, is_meant: bool, as_json: bool) -> None:
    """Deny everything from a time on.

    From --effective-at every check answers SERVICE_DISCONTINUED, but for what an exemption lets be stored after
    closure. A time in the past is refused: answers that were given since then would have been wrong. Of several ends
    the earliest counts, and none is taken back. Safe to repeat.

    \b
    Example:
      consentry service discontinue --effective-at 2027-01-01T00:00:00Z --yes
    """
    from consentry.events import ServiceDiscontinued
    from streams.wording import moment

    require_yes(is_meant, f"from {moment(effective_at)} on everything is denied to everybody")

    def make(event_id: UUID, now: int) -> "AnyDeclaration":
        return ServiceDiscontinued(
            event_id=event_id,
            policy="",
            occurred_at=now,
            producer="consentry service discontinue",
            effective_at=effective_at,
        )

    declare_and_tell(settings, make, f"the service ends at {moment(effective_at)}", as_json=as_json)
