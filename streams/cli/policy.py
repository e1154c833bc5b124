"""`consentry policy`: check a policy document, and publish a revision."""

import asyncio
import time
from uuid import uuid4

import click
import msgspec

from consentry.settings import Settings
from streams.cli.frame import KAFKA, json_flag, show, show_json, warn, with_settings


@click.group()
def policy() -> None:
    """Check a policy document, publish its revisions.

    \b
    Example:
      consentry policy validate policy.yaml
    """


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """What `policy validate --json` prints; `policy publish --json` adds where it stands."""

    policy: str
    version: int
    effective_at: int
    purposes: int
    data: int
    not_in_text: tuple[str, ...]


class Published(msgspec.Struct, frozen=True, kw_only=True):
    policy: str
    version: int
    effective_at: int
    position: str
    written_now: bool
    not_in_text: tuple[str, ...]


document_argument = click.argument("document", type=click.File(encoding="utf-8"), metavar="FILE")


@policy.command()
@document_argument
@click.option("--text", type=click.File(encoding="utf-8"), help="The wording, to look for its clauses.")
@json_flag
def validate(document: click.utils.LazyFile, text: click.utils.LazyFile | None, as_json: bool) -> None:
    """Check a policy document.

    FILE may be - for standard input. Exit 1 with line and field if it is not valid.

    \b
    Example:
      consentry policy validate policy.yaml --text policy.txt
    """
    from consentry.policy import missing_clauses, parse_policy

    parsed = parse_policy(document.read())
    result = Validated(
        policy=parsed.id,
        version=parsed.version,
        effective_at=parsed.effective_at,
        purposes=len(parsed.purposes),
        data=len(parsed.data),
        not_in_text=() if text is None else missing_clauses(parsed, text.read()),
    )
    if as_json:
        show_json(result)
        return
    from streams.wording import moment

    show(f"{result.policy} version {result.version} is valid", fg="green")
    show(f"{result.purposes} purposes, {result.data} data categories, in force from {moment(result.effective_at)}")
    _warn_of_clauses(result.not_in_text)


@policy.command()
@document_argument
@click.option("--text", type=click.File(encoding="utf-8"), required=True, help="The wording, whole.")
@with_settings(*KAFKA)
@json_flag
def publish(settings: Settings, document: click.utils.LazyFile, text: click.utils.LazyFile, as_json: bool) -> None:
    """Publish a revision to everybody who decides by it.

    Its version has to follow the last one, and the notice that was promised has to be given. Safe to repeat: the
    same words under the same version are published once. Of two publishers at once, the first stands.

    \b
    Example:
      consentry policy publish policy.yaml --text policy.txt
    """
    from streams.policies import publish_revision
    from streams.wording import moment

    publication = asyncio.run(
        publish_revision(
            settings,
            document.read(),
            text.read(),
            now=time.time_ns() // 1_000_000,
            event_id=uuid4(),
            producer="consentry policy publish",
        )
    )
    result = Published(
        policy=publication.policy,
        version=publication.version,
        effective_at=publication.effective_at,
        position=str(publication.position),
        written_now=publication.written_now,
        not_in_text=publication.not_in_text,
    )
    if as_json:
        show_json(result)
        return
    did = "published" if result.written_now else "was published already, with the same words,"
    show(f"{result.policy} version {result.version} {did} at {result.position}", fg="green")
    show(f"in force from {moment(result.effective_at)}")
    _warn_of_clauses(result.not_in_text)


def _warn_of_clauses(clauses: tuple[str, ...]) -> None:
    if clauses:
        warn(f"the document names clauses that the wording does not show: {', '.join(clauses)}")
