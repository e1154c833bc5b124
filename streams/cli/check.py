"""`consentry check`: may this be done? Asked of a query node."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

import click
import msgspec

from consentry.errors import ConsentryError
from consentry.settings import Settings
from consentry.terms import Form, Operation
from streams.cli.frame import NODE, Exit, finish, json_flag, show, show_json, warn, with_settings

if TYPE_CHECKING:
    from consentry.authzen import EvaluationAnswer, EvaluationRequest
    from streams.cli.node import Node
    from streams.explaining import Background


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
@click.option(
    "--joined-with-identity/--not-joined", default=None, help="Whether the data are joined with what identifies."
)
@click.option("--scene", help="Where the person would be asked; bears on whether one may ask, and on nothing else.")
@click.option("--user-initiated", is_flag=True, help="The person does what needs the consent: then one may ask.")
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
    joined_with_identity: bool | None,
    scene: str | None,
    user_initiated: bool,
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
    from consentry.authzen import Action, CheckContext, EvaluationRequest, Resource, Subject

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
            joined_with_identity=joined_with_identity,
            scene=scene,
            user_initiated=user_initiated,
            min_position=min_position,
        ),
    )
    answer, background = _ask(settings, request, with_background=explain and not as_json)
    if as_json:
        show_json(answer)
    else:
        _show(request, answer, background)
    finish(Exit.DONE if answer.decision else Exit.NO)


def _parts_of(subject: str) -> tuple[str, str]:
    kind, colon, name = subject.partition(":")
    if not colon:
        raise ConsentryError(f"{subject!r} is no subject", where="SUBJECT", remedy="type:id, such as account:42")
    return kind, name


def _ask(
    settings: Settings, request: "EvaluationRequest", *, with_background: bool
) -> tuple["EvaluationAnswer", "Background | None"]:
    from consentry.authzen import EVALUATION_PATH, EvaluationAnswer
    from streams.cli.node import Node

    with Node(settings) as node:
        answer = node.post(EVALUATION_PATH, msgspec.json.encode(request), EvaluationAnswer)
        if not with_background:
            return answer, None
        return answer, _background(node, f"{request.subject.type}:{request.subject.id}", answer)


def _background(node: "Node", subject: str, answer: "EvaluationAnswer") -> "Background":
    """The clause's wording and the events that are the evidence; an answer stands without them too."""
    from consentry.policy import parse_policy
    from streams.explaining import Background
    from streams.query.policies import PolicyRevision
    from streams.query.subjects import SubjectView

    version = answer.context.policy_version or 1
    background = Background(zone=datetime.now().astimezone().tzinfo or UTC)
    try:
        revision = node.get(f"/v1/policies/{version}", PolicyRevision)
        background = msgspec.structs.replace(background, text=revision.text)
        if answer.context.evidence:
            view = node.get(f"/v1/subjects/{quote(subject, safe='')}", SubjectView)
            background = msgspec.structs.replace(background, events=view.events)
        if not answer.decision:
            background = msgspec.structs.replace(background, policy=parse_policy(revision.document))
    except ConsentryError as fault:
        warn(f"what else is known could not be read: {fault.what}")
    return background


def _show(request: "EvaluationRequest", answer: "EvaluationAnswer", background: "Background | None") -> None:
    """The headline; with a background, the sentences too."""
    from streams.explaining import explanation, headline_of

    show(headline_of(answer), fg="green" if answer.decision else "red", bold=True)
    for warning in answer.context.warnings:
        warn(warning)
    if background is not None:
        _, *sentences = explanation(request, answer, background)
        for sentence in sentences:
            show(sentence)
