"""`consentry watch`: each change of state, as another service would see it."""

import asyncio

import click
import msgspec

from consentry.settings import Settings
from streams.cli.frame import KAFKA, json_flag, note, show, show_json, with_settings


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `watch --json`."""

    subject: str
    position: str
    tightened_position: str | None
    changes: tuple[str, ...]


@click.command()
@click.option("--subject", help="Only this one.")
@click.option("--limit", type=click.IntRange(1), help="End after so many changes.")
@with_settings(*KAFKA)
@json_flag
def watch(settings: Settings, subject: str | None, limit: int | None, as_json: bool) -> None:
    """Print each change of state as it becomes visible.

    Until Ctrl-C, or for --limit changes. It holds a copy of consent-state like any subscriber, and needs no query node.

    \b
    Example:
      consentry watch --subject account:42
    """
    asyncio.run(_watch(settings, subject, limit, as_json=as_json))


async def _watch(settings: Settings, subject: str | None, limit: int | None, *, as_json: bool) -> None:
    from consentry.intake import stored_subject
    from consentry.replica import ConsentReplica
    from streams.topics import require_topics
    from streams.wording import latest_changes, listed

    # a copy of its own: a terminal need not feed that of a host's services
    own = msgspec.structs.replace(settings, replica_dir="")
    replica = ConsentReplica(own, await require_topics(settings))
    only = None if subject is None else stored_subject(subject, settings)
    seen = 0
    try:
        note("reading the state there is")
        await replica.start()
        note("watching")
        async for state in replica.changes():
            if only is not None and state.subject != only:
                continue
            tightened = state.tightened_position
            change = Change(
                subject=state.subject,
                position=str(state.position),
                tightened_position=None if tightened is None else str(tightened),
                changes=latest_changes(state),
            )
            if as_json:
                show_json(change)
            else:
                words = listed(change.changes, "its position moved, and no more")
                show(f"{change.position}  {change.subject}  {words}")
            seen += 1
            if limit is not None and seen >= limit:
                return
    finally:
        await replica.stop()
