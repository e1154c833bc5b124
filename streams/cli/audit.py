"""`consentry audit`: the log itself answers, for any moment."""

import asyncio
import hashlib
import time
from typing import TYPE_CHECKING

import click
import msgspec

from consentry.errors import ConsentryError
from consentry.settings import Settings
from consentry.terms import Operation, Position
from streams.cli.frame import KAFKA, json_flag, note, show, show_json, with_settings
from streams.cli.times import Moment

if TYPE_CHECKING:
    from consentry.audit import AsOf, Replay, Step
    from consentry.authzen import EvaluationAnswer
    from consentry.decision import Request
    from consentry.events import AnySubjectEvent


@click.group()
def audit() -> None:
    """Ask the log itself, for any moment.

    \b
    Example:
      consentry audit replay --subject account:42 --at 2026-11-24T12:00:00Z
    """


class ReplayedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One record in `audit replay --json`."""

    position: str
    recorded_at: int
    effect: str
    fault: str | None
    event: "AnySubjectEvent | None"
    """None: it cannot be read"""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What `audit replay --json` prints."""

    subject: str
    at: int | None
    as_known_at: int | None
    position: str | None
    steps: tuple[ReplayedStep, ...]
    left_out: int
    state: tuple[str, ...]
    row_sha256: str | None
    """of the state's row, byte for byte what a worker holds"""
    decision: "EvaluationAnswer | None"


@audit.command()
@click.option("--subject", required=True, help="Whom it is about, such as account:42.")
@click.option("--at", type=Moment(), help="What had occurred by then: ms or ISO 8601.")
@click.option("--as-known-at", type=Moment(), help="What had been recorded by then.")
@click.option("--position", help="What stood in the log up to there: how a live answer is derived again.")
@click.option("--operation", type=click.Choice([operation.value for operation in Operation]), help="Of a question.")
@click.option("--purpose", help="Of a question.")
@click.option("--data", multiple=True, help="Of a question; may be repeated.")
@click.option("--active", is_flag=True, help="The function that needs it was in use.")
@click.option("--device", help="Whose system permissions count.")
@with_settings(*KAFKA)
@json_flag
def replay(
    settings: Settings,
    subject: str,
    at: int | None,
    as_known_at: int | None,
    position: str | None,
    operation: str | None,
    purpose: str | None,
    data: tuple[str, ...],
    active: bool,
    device: str | None,
    as_json: bool,
) -> None:
    """Show a subject's events, state and decision at a moment.

    It asks no worker and no node: it reads the subject's part of the log, folds what counts as of then, and with
    --operation, --purpose and --data decides as they do. What names no moment is as of now.

    \b
    Example:
      consentry audit replay --subject account:42 --at 2026-11-24T12:00:00Z \\
        --operation collect --purpose delivery --data address
    """
    from consentry.audit import AsOf
    from consentry.decision import Request
    from consentry.intake import fault_of_subject, stored_device, stored_subject

    fault = fault_of_subject(subject, settings)
    if fault is not None:
        raise ConsentryError(fault, where="--subject")
    subject = stored_subject(subject, settings)
    request = None
    if operation is not None and purpose is not None and data:
        request = Request(
            subject=subject,
            operation=Operation(operation),
            purpose=purpose,
            data=data,
            active=active,
            device=None if device is None else stored_device(device, settings),
        )
    elif operation is not None or purpose is not None or data:
        raise ConsentryError("a question needs all three", where="--operation, --purpose, --data")
    upto = None if position is None else Position.parse(position)
    as_of = AsOf(at=at, as_known_at=as_known_at, position=upto)
    found = asyncio.run(_replayed(settings, subject, as_of, request))
    if as_json:
        show_json(_for_programs(found))
    else:
        _show(found, request)


async def _replayed(settings: Settings, subject: str, as_of: "AsOf", request: "Request | None") -> "Replay":
    from consentry.audit import Replay, policies_known
    from streams.replay import read_policy_records, read_subject

    log = await read_subject(
        settings, subject, as_of.position, on_progress=lambda read, of: note(f"read {read} of {of} records")
    )
    found = Replay.of(subject, log.entries, as_of, log=log.topic)
    if request is None:
        return found
    policies = policies_known(await read_policy_records(settings), as_of)
    return found.decided(request, policies, time.time_ns() // 1_000_000)


def _for_programs(found: "Replay") -> Replayed:
    from consentry.authzen import answer_of
    from consentry.codec import encode_row
    from streams.wording import all_of

    as_of = found.as_of
    return Replayed(
        subject=found.subject,
        at=as_of.at,
        as_known_at=as_of.as_known_at,
        position=None if as_of.position is None else str(as_of.position),
        steps=tuple(_step(step) for step in found.steps),
        left_out=found.left_out,
        state=() if found.state is None else all_of(found.state),
        row_sha256=None if found.state is None else hashlib.sha256(encode_row(found.state)).hexdigest(),
        decision=None if found.decision is None else answer_of(found.decision),
    )


def _step(step: "Step") -> ReplayedStep:
    from consentry.events import Recorded

    entry = step.entry
    return ReplayedStep(
        position=str(entry.position),
        recorded_at=entry.recorded_at,
        effect=step.effect,
        fault=step.fault,
        event=entry.event if isinstance(entry, Recorded) else None,
    )


def _show(found: "Replay", request: "Request | None") -> None:
    from consentry.authzen import answer_of
    from streams.explaining import explanation, question_of
    from streams.wording import all_of, moment

    as_of = found.as_of
    named = [
        f"{words} {moment(at)}"
        for words, at in (("occurred by", as_of.at), ("recorded by", as_of.as_known_at))
        if at is not None
    ]
    show(f"{found.subject}  {', '.join(named) or 'as of now'}", bold=True)
    for step in map(_step, found.steps):
        kind = type(step.event).__name__ if step.event is not None else "unreadable"
        show(f"  {step.position}  {moment(step.recorded_at)}  {kind}  {step.fault or step.effect}")
    show(f"  {len(found.steps)} records count, {found.left_out} do not as of then")
    for line in all_of(found.state) if found.state is not None else ("nothing is known of the subject",):
        show(f"  state: {line}")
    if request is None or found.decision is None:
        return
    headline, *sentences = explanation(question_of(request), answer_of(found.decision))
    show(headline, fg="green" if found.decision.allow else "red", bold=True)
    for sentence in sentences:
        show(sentence)
