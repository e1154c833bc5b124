"""`consentry state`: what is known of a subject."""

from urllib.parse import quote

import click

from consentry.settings import Settings
from streams.cli.frame import NODE, json_flag, show, show_json, with_settings


@click.command()
@click.argument("subject")
@with_settings(*NODE)
@json_flag
def state(settings: Settings, subject: str, as_json: bool) -> None:
    """Show what is known of a subject now.

    The status of each consent, opt-outs, permissions. The token for the query node is in CONSENTRY_BEARER_TOKEN.

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
    if view.not_weighed:
        show(f"events that this version cannot weigh: {listed(view.not_weighed)}; nothing is allowed", fg="red")
    for cell in view.cells:
        towards = f" to {cell.recipient}" if cell.recipient else ""
        until = f" until {moment(cell.expires_at)}" if cell.expires_at is not None else ""
        show(f"{cell.status:<15} {cell.operation} {cell.data} for {cell.purpose}{towards}{until}")
    for purpose in view.opted_out:
        show(f"{'opted out':<15} {purpose}")
    for seen in view.permissions:
        device = f" on {seen.device}" if seen.device else ""
        show(f"{'permission ' + seen.state:<15} {seen.name}{device}")
    if not (view.cells or view.opted_out or view.permissions):
        show("nothing is recorded that a line could show")
