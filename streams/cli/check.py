"""`consentry check`: may this be done? Asked of a query node."""

from typing import TYPE_CHECKING

import click
import msgspec

from consentry.errors import ConsentryError
from consentry.settings import Settings
from consentry.terms import Form, Operation
from streams.cli.frame import NODE, Exit, finish, json_flag, show, show_json, warn, with_settings

if TYPE_CHECKING:
    from consentry.authzen import EvaluationAnswer, EvaluationRequest


@click.command()
@click.argument("subject")
@click.option("--operation", required=True, type=click.Choice([operation.value for operation in Operation]))
@click.option("--purpose", required=True, help="A purpose of the policy.")
@click.option(
    "--data", multiple=True, required=True, help="A data category; may be repeated, then each has to be allowed."
)
@click.option("--active", is_flag=True, help="The function that needs it is in use now.")
@click.option("--device", help="Whose system permissions count.")
@click.option("--recipient", help="To whom the data goes.")
@click.option("--form", type=click.Choice([form.value for form in Form]), help="identifiable where nothing is said.")
@click.option("--transfer-mechanism", help="By which an export is made.")
@click.option("--min-position", help="What the answer must have seen, such as e1.p3.o812.")
@click.option("--explain", is_flag=True, help="Say it as a person would.")
@with_settings(*NODE)
@json_flag
def check(
    settings: Settings,
    subject: str,
    operation: str,
    purpose: str,
    data: tuple[str, ...],
    active: bool,
    device: str | None,
    recipient: str | None,
    form: str | None,
    transfer_mechanism: str | None,
    min_position: str | None,
    explain: bool,
    as_json: bool,
) -> None:
    """Ask whether something may be done with a subject's data.

    Exit 0 is ALLOW, 1 is DENY, 3 is no answer. The token for the query node is in CONSENTRY_BEARER_TOKEN.

    \b
    Example:
      consentry check account:42 --operation collect --purpose delivery --data address --active --explain
    """
    from consentry.authzen import (
        EVALUATION_PATH,
        Action,
        CheckContext,
        EvaluationAnswer,
        EvaluationRequest,
        Resource,
        Subject,
    )
    from streams.cli.node import Node

    request = EvaluationRequest(
        subject=Subject(*_parts_of(subject)),
        action=Action(operation),
        resource=Resource("purpose", purpose),
        context=CheckContext(
            data=data,
            active=active,
            device=device,
            recipient=recipient,
            form=None if form is None else Form(form),
            transfer_mechanism=transfer_mechanism,
            min_position=min_position,
        ),
    )
    with Node(settings) as node:
        answer = node.post(EVALUATION_PATH, msgspec.json.encode(request), EvaluationAnswer)
    if as_json:
        show_json(answer)
    else:
        _show(request, answer, explain=explain)
    finish(Exit.DONE if answer.decision else Exit.NO)


def _parts_of(subject: str) -> tuple[str, str]:
    kind, colon, name = subject.partition(":")
    if not colon:
        raise ConsentryError(f"{subject!r} is no subject", where="SUBJECT", remedy="type:id, such as account:42")
    return kind, name


def _show(request: "EvaluationRequest", answer: "EvaluationAnswer", *, explain: bool) -> None:
    from streams.wording import explanation

    headline, *sentences = explanation(request, answer)
    show(headline, fg="green" if answer.decision else "red", bold=True)
    for warning in answer.context.warnings:
        warn(warning)
    for sentence in sentences if explain else ():
        show(sentence)
