"""`consentry state`: what is known of a subject."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from consentry.settings import Settings
from streams.cli.frame import NODE, json_flag, show, show_json, with_settings

if TYPE_CHECKING:
    from streams.query.circumstances import EndedExemption, InvokedExemption, StandingObjection
    from streams.query.subjects import SubjectView


@click.command()
@click.argument("subject")
@with_settings(*NODE)
@json_flag
def state(settings: Settings, subject: str, as_json: bool) -> None:
    """Show what is known of a subject now.

    Age, guardians, accepted versions, the status of each consent, opt-outs, objections, exemptions, permissions. The
    token for the query node is in CONSENTRY_BEARER_TOKEN.

    \b
    Example:
      consentry state account:42
    """
    from streams.cli.node import Node
    from streams.query.subjects import SubjectView
    from streams.wording import listed, moment

    with Node(settings) as node:
        view = node.get(f"/v1/subjects/{quote(subject, safe='')}", SubjectView)
    if as_json:
        show_json(view)
        return
    age = "of unknown age" if view.staleness_ms is None else f"at most {view.staleness_ms} ms old"
    show(f"{view.subject}  seen at {view.position}, {age}, policy version {view.policy_version or 'none'}", bold=True)
    for what, at in (("closed", view.closed_at), ("erased", view.erased_at)):
        if at is not None:
            show(f"{what} at {moment(at)}", fg="red")
    if view.quarantined:
        show(f"quarantined for {listed(view.quarantined)}: see `consentry quarantine list`", fg="red")
    lines = [*lines_of(view)]
    for line in lines or ["nothing is recorded that a line could show"]:
        show(line)


def lines_of(view: "SubjectView") -> Iterator[str]:
    """What is known of the person, a line each."""
    from streams.wording import moment

    if view.age is not None and view.age.source is not None:
        yield _line("age", f"{view.age.band}, {view.age.source}")
    for each in view.guardians:
        since = f"verified since {moment(each.verified_since)}" if each.verified_since is not None else "not verified"
        yield _line("guardian", f"{each.guardian}, {since}")
    for accepted in view.accepted:
        yield _line("accepted", f"policy version {accepted.policy_version}, by {accepted.actor_role}")
    for cell in view.cells:
        towards = f" to {cell.recipient}" if cell.recipient else ""
        until = f" until {moment(cell.expires_at)}" if cell.expires_at is not None else ""
        again = ", to be given anew" if cell.reaffirm_due else ""
        yield _line(cell.status, f"{cell.operation} {cell.data} for {cell.purpose}{towards}{until}{again}")
    for purpose in view.opted_out:
        yield _line("opted out", purpose)
    for objection in view.objections:
        yield _line("objected", _scope(objection))
    for exemption in view.exemptions:
        yield _line("exemption", f"{exemption.code} until {moment(exemption.valid_until)}: {_scope(exemption)}")
    for ended in view.exemptions_ended:
        yield _line("ended", f"exemption {ended.code}: {_scope(ended)}")
    for seen in view.permissions:
        device = f" on {seen.device}" if seen.device else ""
        yield _line(f"permission {seen.state}", f"{seen.name}{device}")


def _line(what: str, says: str) -> str:
    return f"{what:<15} {says}"


def _scope(found: "StandingObjection | InvokedExemption | EndedExemption") -> str:
    from streams.wording import listed

    towards = f" to {listed(found.recipients)}" if found.recipients else ""
    operations, data = listed(found.operations, "any operation on"), listed(found.data, "any data")
    return f"{operations} {data} for {found.purpose or 'any purpose'}{towards}"
