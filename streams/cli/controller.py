"""`consentry controller`: another controller takes over."""

from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

import click

from consentry.settings import Settings
from streams.cli.declared import declare_and_tell, require_yes, yes_flag
from streams.cli.frame import KAFKA, json_flag, with_settings
from streams.cli.times import Moment

if TYPE_CHECKING:
    from consentry.policy import AnyDeclaration


class Terms(StrEnum):
    """What becomes of the terms that people agreed to."""

    KEPT = "kept"
    NOT_KEPT = "not-kept"


@click.group()
def controller() -> None:
    """Declare that another controller takes over.

    \b
    Example:
      consentry controller change --successor newco --terms kept --effective-at 2027-01-01T00:00:00Z
    """


@controller.command()
@click.option("--successor", required=True, help="Who takes over.")
@click.option("--terms", required=True, type=click.Choice([one.value for one in Terms]),
              help="kept: what was agreed to holds on. not-kept: everybody is asked again.")  # fmt: skip
@click.option("--effective-at", type=Moment(), required=True, help="From when: ms, or ISO 8601.")
@yes_flag
@with_settings(*KAFKA)
@json_flag
def change(settings: Settings, successor: str, terms: str, effective_at: int, is_meant: bool, as_json: bool) -> None:
    """Say who takes over, from when, and whether on the same terms.

    Where the terms are not kept, every consent given before --effective-at is RECONSENT_DUE from then on: that needs
    --yes, and a time in the past is refused, for it would rewrite what was answered. Safe to repeat.

    \b
    Examples:
      consentry controller change --successor newco --terms kept --effective-at 2027-01-01T00:00:00Z
      consentry controller change --successor newco --terms not-kept --effective-at 2027-01-01T00:00:00Z --yes
    """
    from consentry.events import ControllerChanged
    from streams.wording import moment

    kept = Terms(terms) is Terms.KEPT
    if not kept:
        require_yes(is_meant, f"from {moment(effective_at)} on everybody has to be asked again")

    def make(event_id: UUID, now: int) -> "AnyDeclaration":
        return ControllerChanged(
            event_id=event_id,
            policy="",
            occurred_at=now,
            producer="consentry controller change",
            successor=successor,
            terms_kept=kept,
            effective_at=effective_at,
        )

    follows = "what was agreed to holds on" if kept else "every consent given before it is due again"
    declare_and_tell(settings, make, f"{successor} takes over at {moment(effective_at)}: {follows}", as_json=as_json)
