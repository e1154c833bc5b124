"""`consentry topics`: make the topics, and hold the live ones against the table."""

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import click
import msgspec

from consentry.settings import Settings
from streams.cli.frame import KAFKA, Exit, finish, json_flag, note, show, show_json, with_settings

if TYPE_CHECKING:
    from streams.topics import Finding


@click.group()
def topics() -> None:
    """Make the topics, and check that each is as it has to be.

    \b
    Example:
      consentry topics create
    """


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What `topics create --json` prints."""

    log_id: str
    epoch: int
    partitions: int
    subject_ids: str
    made: tuple[str, ...]
    kept: tuple[str, ...]
    geneses_written: int


@topics.command()
@with_settings(*KAFKA, "partitions", "replication_factor", "intake_producers")
@json_flag
def create(settings: Settings, as_json: bool) -> None:
    """Create what is missing and give the log its identity.

    Safe to repeat, and to resume after it was cut short. A topic that is there and differs is left alone, and
    the command says how it differs. With CONSENTRY_SUBJECT_PEPPER set, the log is one of hashed subject ids.

    \b
    Example:
      consentry topics create --partitions 12 --intake-producers web,app
    """
    from streams.topics import create_topics

    creation = asyncio.run(create_topics(settings, new_log_id=uuid4, on_progress=note))
    identity = creation.identity
    made = Made(
        log_id=str(identity.log_id),
        epoch=identity.epoch,
        partitions=identity.partitions,
        subject_ids=identity.subject_ids,
        made=creation.made,
        kept=creation.kept,
        geneses_written=creation.geneses_written,
    )
    if as_json:
        show_json(made)
        return
    for name in made.made:
        show(f"made  {name}", fg="green")
    for name in made.kept:
        show(f"kept  {name}")
    show(f"log {made.log_id}, epoch {made.epoch}, {made.partitions} partitions, {made.subject_ids} subject ids")


@topics.command()
@with_settings(*KAFKA, "replication_factor", "intake_producers")
@json_flag
def check(settings: Settings, as_json: bool) -> None:
    """Compare the live topics with what has to hold.

    Exit 1 if anything is wrong. Workers and query nodes make the same check of the topics before they serve.
    Besides, it names each record in quarantine whose subject could not be read: nobody is denied for it. Each
    finding comes with what mends it.

    \b
    Example:
      consentry topics check --json
    """
    from streams.quarantine import findings_in_quarantine
    from streams.topics import check_topics

    async def find() -> "list[Finding]":
        return [*await check_topics(settings), *await findings_in_quarantine(settings)]

    findings = asyncio.run(find())
    if as_json:
        show_json({"ok": not findings, "findings": findings})
    elif not findings:
        show("every topic is as it has to be", fg="green")
    for finding in () if as_json else findings:
        show(str(finding), fg="red")
        if finding.why:
            show(f"  why:  {finding.why}")
        show(f"  mend: {finding.remedy}")
    finish(Exit.NO if findings else Exit.DONE)
