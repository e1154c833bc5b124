"""What `service`, `controller` and `incident` share: one declaration, written and told."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import click
import msgspec

from consentry.settings import Settings
from streams.cli.frame import show, show_json

if TYPE_CHECKING:
    from consentry.policy import AnyDeclaration

yes_flag = click.option("--yes", "is_meant", is_flag=True, help="Yes, it is meant: it cannot be taken back.")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What they print with --json."""

    type: str
    policy: str
    event_id: str
    position: str
    written_now: bool


def declare_and_tell(
    settings: Settings, make: Callable[[UUID, int], "AnyDeclaration"], what_follows: str, *, as_json: bool
) -> None:
    """Write what `make` makes of an id and the time now (ms), wait until it is acknowledged, say where it stands."""
    from streams.policies import declare

    now = time.time_ns() // 1_000_000
    declaration = make(uuid4(), now)
    declared = asyncio.run(declare(settings, declaration, now=now))
    told = Told(
        type=type(declaration).__name__,
        policy=declared.policy,
        event_id=str(declared.event_id),
        position=str(declared.position),
        written_now=declared.written_now,
    )
    if as_json:
        show_json(told)
        return
    did = "declared" if told.written_now else "was declared already, in the same words,"
    show(f"{told.policy}: {told.type} {did} at {told.position}", fg="green")
    show(what_follows)


def require_yes(is_meant: bool, consequence: str) -> None:
    """Raises click's UsageError (2), and nothing has been written."""
    if not is_meant:
        raise click.UsageError(f"{consequence}, and that cannot be taken back: say --yes if it is meant")
