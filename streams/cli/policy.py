"""`consentry policy`: check a policy document, see what a revision changes and for whom, publish it."""

import asyncio
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import click
import msgspec

from consentry.errors import ConsentryError
from consentry.settings import Settings
from streams.cli.frame import KAFKA, json_flag, note, show, show_json, warn, with_settings

if TYPE_CHECKING:
    from consentry.policy import Policies, Policy


@click.group()
def policy() -> None:
    """Check a policy document, see what a revision changes and for whom, publish it.

    \b
    Example:
      consentry policy validate policy.yaml
    """


class Unfound(msgspec.Struct, frozen=True, kw_only=True):
    """A clause that the wording does not show, and where the document names it: line and field."""

    clause: str
    where: str


class Validated(msgspec.Struct, frozen=True, kw_only=True):
    """What `policy validate --json` prints; `policy publish --json` adds where it stands."""

    policy: str
    version: int
    effective_at: int
    purposes: int
    data: int
    not_in_text: tuple[str, ...]
    """clauses that the document names and the wording does not show"""
    unfound: tuple[Unfound, ...]
    """where it names them"""


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
@click.option("--against", type=click.File(encoding="utf-8"), help="The version before it: does it follow that?")
@click.option("--against-text", type=click.File(encoding="utf-8"), help="That one's wording, to find what changed.")
@json_flag
def validate(
    document: click.utils.LazyFile,
    text: click.utils.LazyFile | None,
    against: click.utils.LazyFile | None,
    against_text: click.utils.LazyFile | None,
    as_json: bool,
) -> None:
    """Check a policy document.

    FILE may be - for standard input. Exit 1 if it is not valid, with line and field of every fault that can be told in
    one go. With --against it must also follow that version, in number, time of effect and notice; with both wordings,
    say how each changed clause changed.

    \b
    Examples:
      consentry policy validate policy.yaml --text policy.txt
      consentry policy validate v2.yaml --text v2.txt --against v1.yaml --against-text v1.txt
    """
    from consentry.policy import check_follows, parse_policy, unfound_clauses

    if against_text is not None and (text is None or against is None):
        raise click.UsageError("--against-text needs --text and --against: it is their wordings that are compared")
    source = document.read()
    wording = None if text is None else text.read()
    parsed = parse_policy(source)
    if against is not None:
        wordings = None if against_text is None or wording is None else (against_text.read(), wording)
        check_follows(source, parse_policy(against.read()), wordings)
    found = () if wording is None else unfound_clauses(source, wording)
    unfound = tuple(Unfound(clause=each.clause, where=each.where) for each in found)
    result = Validated(
        policy=parsed.id,
        version=parsed.version,
        effective_at=parsed.effective_at,
        purposes=len(parsed.purposes),
        data=len(parsed.data),
        not_in_text=tuple(sorted({each.clause for each in unfound})),
        unfound=unfound,
    )
    if as_json:
        show_json(result)
        return
    from streams.wording import moment

    show(f"{result.policy} version {result.version} is valid", fg="green")
    show(f"{result.purposes} purposes, {result.data} data categories, in force from {moment(result.effective_at)}")
    if against is not None and against_text is None:
        note("the wordings were not compared: name both with --text and --against-text")
    for each in unfound:
        warn(f"{each.where}: the wording does not show clause {each.clause}")


@policy.command()
@click.argument("document", type=click.File(encoding="utf-8"), metavar="[FILE]", required=False)
@click.option("--against", type=click.File(encoding="utf-8"), help="The former document, a file.")
@click.option("--from", "former", type=int, help="The former document, a published version.")
@click.option("--to", "version", type=int, help="In place of FILE: a published version.")
@with_settings(*KAFKA)
@json_flag
def diff(
    settings: Settings,
    document: click.utils.LazyFile | None,
    against: click.utils.LazyFile | None,
    former: int | None,
    version: int | None,
    as_json: bool,
) -> None:
    """Show what a revision changes, whom it asks again, and why.

    Each change is editorial, narrowing or material, and may reduce a right, which needs express acceptance. Without
    --against and --from it is compared with the published version before it. Only published versions need Kafka.

    \b
    Examples:
      consentry policy diff v2.yaml --against v1.yaml
      consentry policy diff v3.yaml
      consentry policy diff --from 1 --to 2
    """
    from consentry.policy import changes_between, parse_policy
    from streams.cli.policy_diff import difference, show_difference

    if (document is None) == (version is None):
        raise click.UsageError("name one document that is compared: FILE or --to")
    if against is not None and former is not None:
        raise click.UsageError("--against and --from both name the former document")
    given = None if document is None else parse_policy(document.read())
    before = None if against is None else parse_policy(against.read())
    if given is None or before is None:
        from streams.policies import published_policies

        published = asyncio.run(published_policies(settings))
        given = given or _version(published, version or 0)
        before = before or _version(published, given.version - 1 if former is None else former)
    if given.id != before.id:
        raise ConsentryError(f"{given.id} and {before.id} are two policies", remedy="compare versions of one policy")
    found = difference(given, changes_between(before, given))
    if as_json:
        show_json(found)
        return
    show_difference(found)


@policy.command()
@document_argument
@click.option("--subjects", "with_subjects", is_flag=True, help="List whom it would concern, by id.")
@with_settings(*KAFKA)
@json_flag
def preview(settings: Settings, document: click.utils.LazyFile, with_subjects: bool, as_json: bool) -> None:
    """Show what a revision would change, and for how many, before it is published.

    FILE has to follow the last published version. Beside what `policy diff` says it counts the subjects whose consent
    holds now and would be due again, and, where it reduces a right, those who would have to accept it. It reads every
    row, and writes nothing.

    \b
    Examples:
      consentry policy preview v2.yaml
      consentry policy preview v2.yaml --subjects --json
    """
    from streams.cli.policy_preview import previewed, show_preview
    from streams.preview import preview_revision

    now = time.time_ns() // 1_000_000
    found = asyncio.run(preview_revision(settings, document.read(), now=now, on_progress=note))
    shown = previewed(found, with_subjects=with_subjects)
    if as_json:
        show_json(shown)
        return
    show_preview(shown)


def _version(published: "Policies", number: int) -> "Policy":
    policy = published.version(number)
    if policy is None:
        versions = len(published.revisions)
        raise ConsentryError(
            f"version {number} is not published",
            remedy=f"published are 1 to {versions}" if versions else "name the document as a file: --against v1.yaml",
        )
    return policy


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
