"""`consentry quarantine`: what was set aside, and its release."""

import asyncio
import base64
import getpass
import time
from typing import TYPE_CHECKING

import click
import msgspec

from consentry.errors import ConsentryError
from consentry.settings import Settings
from consentry.terms import ActorRole, Channel, Disposition
from streams.cli.frame import KAFKA, NODE, json_flag, show, show_json, with_settings
from streams.cli.submissions import event_of_arguments

if TYPE_CHECKING:
    from streams.quarantine import SetAside


@click.group()
def quarantine() -> None:
    """See and release what could not be taken in or folded.

    The subject of such a record gets no ALLOW until it is released: the record might have been a withdrawal. Where
    no subject could be read nobody is denied, and `consentry topics check` names the record.

    \b
    Example:
      consentry quarantine list --standing
    """


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `quarantine list --json`."""

    source: str
    subject: str | None
    standing: bool | None
    code: str
    detail: str
    set_aside_at: int


class Shown(Listed, frozen=True, kw_only=True):
    """`quarantine show --json` adds the record itself, in base64."""

    key: str | None
    value: str | None


class _Released(msgspec.Struct, frozen=True):
    event_id: str
    position: str


@quarantine.command("list")
@click.option("--subject", help="Only this one's.")
@click.option("--standing", "standing_only", is_flag=True, help="Only what still holds a subject back.")
@with_settings(*KAFKA)
@json_flag
def list_(settings: Settings, subject: str | None, standing_only: bool, as_json: bool) -> None:
    """List what was set aside, oldest first.

    \b
    Example:
      consentry quarantine list --standing
    """
    from consentry.intake import stored_subject
    from streams.quarantine import read_quarantine
    from streams.wording import moment

    only = None if subject is None else stored_subject(subject, settings)
    found = [
        _listed(entry)
        for entry in asyncio.run(read_quarantine(settings))
        if (only is None or entry.record.subject == only) and (entry.standing or not standing_only)
    ]
    if as_json:
        show_json(found)
        return
    for entry in found:
        words = {True: "standing", False: "released", None: "no subject"}[entry.standing]
        colour = "red" if entry.standing else None
        show(f"{entry.source}  {moment(entry.set_aside_at)}  {words}  {entry.subject or '-'}", fg=colour)
        show(f"    {entry.code}: {entry.detail}")
    if not found:
        show("nothing")


@quarantine.command("show")
@click.argument("source")
@with_settings(*KAFKA)
@json_flag
def show_(settings: Settings, source: str, as_json: bool) -> None:
    """Show one record whole. SOURCE names it as `quarantine list` does: topic-partition@offset.

    \b
    Example:
      consentry quarantine show consent-intake.web-3@812
    """
    entry = _entry_of(settings, source)
    listed, record = _listed(entry), entry.record
    shown = Shown(**msgspec.structs.asdict(listed), key=_text(record.key), value=_text(record.value))
    if as_json:
        show_json(shown)
        return
    for name in shown.__struct_fields__:
        show(f"{name:<13} {getattr(shown, name)}")


@quarantine.command()
@click.argument("source")
@click.option("--disposition", required=True, type=click.Choice([one.value for one in Disposition]),
              help="replayed: what it says was sent again; no_effect: it need not count.")  # fmt: skip
@click.option("--reason", required=True, help="Why it may be released; it stays in the log.")
@click.option("--approver", required=True, help="Who approved it: another than who runs this.")
@click.option("--released-by", default=getpass.getuser, help="Who runs this; else the name on this machine.")
@click.option("--subject", help="Whose it is, where the record itself is not in quarantine.")
@with_settings(*NODE, *KAFKA)
@json_flag
def release(
    settings: Settings,
    source: str,
    disposition: str,
    reason: str,
    approver: str,
    released_by: str,
    subject: str | None,
    as_json: bool,
) -> None:
    """Release a subject from one record, through a query node, with an operator's token in CONSENTRY_BEARER_TOKEN.

    First see to what the record says: if it may have been a withdrawal, send that again.

    \b
    Example:
      consentry quarantine release consent-intake.web-3@812 --disposition replayed \\
        --reason "sent again as event 5c7e" --approver privacy-officer
    """
    from streams.cli.node import Node

    event = event_of_arguments(
        "QuarantineReleased",
        subject=subject or _subject_of(settings, source),
        actor_role=ActorRole.CONTROLLER,
        actor_id=released_by,
        channel=Channel.API,
        occurred_at=time.time_ns() // 1_000_000,
        fields=[("position", source), ("disposition", disposition), ("reason", reason), ("approver", approver)],
    )
    with Node(settings) as node:
        released = node.post("/v1/events", event, _Released)
    if as_json:
        show_json({"event_id": released.event_id, "position": released.position})
    else:
        show(f"released at {released.position}", fg="green")


def _entry_of(settings: Settings, source: str) -> "SetAside":
    from streams.quarantine import read_quarantine

    for entry in asyncio.run(read_quarantine(settings)):
        if entry.record.source == source:
            return entry
    raise ConsentryError(
        f"{source!r} is not in quarantine", where="SOURCE", remedy="name it as `consentry quarantine list` does"
    )


def _subject_of(settings: Settings, source: str) -> str:
    subject = _entry_of(settings, source).record.subject
    if subject is None:
        raise ConsentryError(
            "no subject could be read from it, so it holds nobody back, and there is no way yet to release it",
            where=source,
            remedy="whoever wrote it has to send again what it said; `consentry topics check` goes on naming it",
        )
    return subject


def _listed(entry: "SetAside") -> Listed:
    record = entry.record
    return Listed(
        source=record.source,
        subject=record.subject,
        standing=entry.standing,
        code=record.code,
        detail=record.detail,
        set_aside_at=entry.set_aside_at,
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()
