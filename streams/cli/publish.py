"""`consentry publish`: events, from a file, standard input or arguments, through one of the two doors."""

import asyncio
import time
from collections.abc import Iterable
from typing import TextIO
from uuid import UUID, uuid4, uuid5

import click
import msgspec

from consentry.errors import ConsentryError, InvalidEvent, Problem, Unavailable
from consentry.events import AnySubjectEvent
from consentry.settings import Settings
from consentry.terms import ActorRole, Channel
from streams.cli.frame import KAFKA, NODE, json_flag, note, show, show_json, warn, with_settings
from streams.cli.submissions import KINDS, Batch, batches_of, documents_in, event_of_arguments
from streams.cli.times import Moment

BODY_SPARE_BYTES = 1024


class Sent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of `publish --json`: where an event stands."""

    event_id: str
    position: str
    """in the log; through --intake, topic-partition@offset of the intake topic"""
    effect: str | None = None


class _Answer(msgspec.Struct, frozen=True):
    events: tuple[Sent, ...]


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"), required=False)
@click.option("--type", "kind", type=click.Choice(KINDS), metavar="TYPE", help="An event from arguments: its type.")
@click.option("--subject", help="Whom it is about, such as account:42.")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="A field of the type; lists with commas.")
@click.option(
    "--actor-role", type=click.Choice([role.value for role in ActorRole]), default="subject", show_default=True
)
@click.option("--actor-id", help="Who acted; the subject where it is left out.")
@click.option("--channel", type=click.Choice([one.value for one in Channel]), default="api", show_default=True)
@click.option("--occurred-at", type=Moment(), help="ms or ISO 8601; now where it is left out.")
@click.option("--wait", "wait_ms", type=click.IntRange(0), default=0, help="Wait up to so many ms for the effect.")
@click.option("--idempotency-key", "key", help="Repeat with the same one, and nothing happens twice.")
@click.option("--intake", metavar="NAME", help="Through Kafka, to the intake topic of this producer.")
@with_settings(*NODE, *KAFKA)
@json_flag
def publish(
    settings: Settings,
    file: TextIO | None,
    kind: str | None,
    subject: str | None,
    fields: tuple[str, ...],
    actor_role: str,
    actor_id: str | None,
    channel: str,
    occurred_at: int | None,
    wait_ms: int,
    key: str | None,
    intake: str | None,
    as_json: bool,
) -> None:
    """Publish events from a file, standard input or arguments.

    A FILE (- is standard input) holds one event, a list, or one a line. They go to a query node, which answers
    where each stands in the log; with --intake to Kafka, from where a worker takes them in. A long file goes in
    parts; if one is refused the command stops and says which event and why. The token for the node is in
    CONSENTRY_BEARER_TOKEN.

    \b
    Examples:
      consentry publish --type ConsentWithdrawn --subject account:42 --field purpose=delivery --wait 2000
      consentry publish --type PermissionObserved --subject device:7 --field permission=camera --field state=on
      consentry publish events.jsonl --idempotency-key import-7
    """
    if (file is None) == (kind is None):
        raise ConsentryError("give either a FILE or --type with its fields", remedy="consentry publish --help")
    if file is not None:
        documents: Iterable[bytes] = documents_in(file)
    else:
        if subject is None:
            raise ConsentryError("whom is it about?", where="--subject", remedy="--subject account:42")
        documents = [
            event_of_arguments(
                kind or "",
                subject=subject,
                actor_role=ActorRole(actor_role),
                actor_id=actor_id,
                channel=Channel(channel),
                occurred_at=time.time_ns() // 1_000_000 if occurred_at is None else occurred_at,
                fields=[_pair(text) for text in fields],
            )
        ]
    key = key or str(uuid4())
    batches = batches_of(documents, settings.max_batch, settings.max_body_bytes - BODY_SPARE_BYTES)
    if intake is None:
        _through_node(settings, batches, key, wait_ms, as_json=as_json)
    else:
        asyncio.run(_through_kafka(settings, intake, batches, key, as_json=as_json))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConsentryError(f"{text!r} is not NAME=VALUE", where="--field", remedy="--field purpose=delivery")
    return name, value


def _through_node(settings: Settings, batches: Iterable[Batch], key: str, wait_ms: int, *, as_json: bool) -> None:
    from streams.cli.node import Node

    taken = 0
    with Node(settings) as node:
        for batch in batches:
            try:
                answer = node.post("/v1/events", batch.body, _Answer, key=f"{key}.{batch.number}", wait_ms=wait_ms)
            except InvalidEvent as fault:
                raise _by_place(fault, batch, taken) from fault
            except Unavailable:
                warn(f"{taken} events are in the log. Repeat all with --idempotency-key {key}: none is taken in twice")
                raise
            taken += len(answer.events)
            _show(answer.events, taken, as_json=as_json)


def _by_place(fault: InvalidEvent, batch: Batch, taken: int) -> InvalidEvent:
    """The same refusal, with each event named by its place in the file."""
    problems = []
    for problem in fault.problems:
        index, _, field = problem.where.removeprefix("/").partition("/")
        place = f"event {batch.first + int(index)}" if index.isdigit() else f"events from {batch.first}"
        where = f"{place}, {field}" if field else place
        problems.append(Problem(problem.what, where=where, remedy=problem.remedy))
    warn(f"{taken} events are in the log; this part of the file, from event {batch.first} on, is not")
    return InvalidEvent(problems, status=fault.status, code=fault.code)


async def _through_kafka(settings: Settings, name: str, batches: Iterable[Batch], key: str, *, as_json: bool) -> None:
    from consentry.intake.submission import parse_submission
    from consentry.publisher import ConsentPublisher

    taken = 0
    async with ConsentPublisher(settings, name) as publisher:
        for batch in batches:
            try:
                submissions = parse_submission(batch.body, settings)
            except InvalidEvent as fault:
                raise _by_place(fault, batch, taken) from fault
            for place, submission in enumerate(submissions, start=batch.first):
                event = submission.event if submission.is_named else _named(submission.event, key, place)
                try:
                    lies = await publisher.publish(event)
                except InvalidEvent as fault:
                    raise _by_place(fault, Batch(batch.number, place, ()), taken) from fault
                taken += 1
                position = f"{lies.topic}-{lies.partition}@{lies.offset}"
                _show([Sent(event_id=str(event.event_id), position=position)], taken, as_json=as_json)


def _named(event: AnySubjectEvent, key: str, place: int) -> AnySubjectEvent:
    return msgspec.structs.replace(event, event_id=uuid5(UUID(int=0), f"{key}/{place}"))


def _show(events: Iterable[Sent], taken: int, *, as_json: bool) -> None:
    for sent in events:
        if as_json:
            show_json(sent)
        else:
            show(f"{sent.position}  {sent.event_id}  {sent.effect or ''}".rstrip())
    if taken > 1:
        note(f"{taken} events")
