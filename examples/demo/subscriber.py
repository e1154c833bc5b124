"""A service that keeps camera pictures and follows what people agree to: a line for each change, and what follows.

It holds a copy of all state in its own process, so a check costs no request. Run it beside a worker:

    CONSENTRY_BOOTSTRAP_SERVERS=127.0.0.1:9092 python examples/demo/subscriber.py
"""

import asyncio
import sys

from consentry.decision import Request
from consentry.replica import ConsentReplica
from consentry.settings import load_settings
from consentry.state.row import Acceptance, Act, Mark, SubjectState
from consentry.terms import ActorRole, Operation


def by(act: Act | Mark | Acceptance) -> str:
    return "" if act.actor_role is ActorRole.SUBJECT else f" by {act.actor_role} {act.actor_id}"


def latest(state: SubjectState) -> str:
    """What the change was, in the row's own words."""
    here = state.position.offset
    found = [f"{act.block.purpose} {act.status}{by(act)}" for act in state.acts if act.offset == here]
    found += [
        f"{mark.scope.purpose or 'everything'} {mark.status}{by(mark)}" for mark in state.marks if mark.offset == here
    ]
    found += [f"permission {seen.name} {seen.state}" for seen in state.permissions if seen.offset == here]
    if (around := state.circumstances) is not None:
        found += [f"age asserted, {age.source}" for age in around.ages if age.offset == here]
        found += [f"guardian {each.guardian} verified" for each in around.guardianships if each.verified_offset == here]
        found += [
            f"policy version {each.policy_version} accepted{by(each)}"
            for each in around.acceptances
            if each.offset == here
        ]
    return ", ".join(found) or "nothing that concerns a consent"


async def main() -> None:
    replica = ConsentReplica(load_settings())
    await replica.start()
    sys.stderr.write("following\n")
    try:
        async for state in replica.changes():
            question = Request(
                subject=state.subject, operation=Operation.USE, purpose="publish.camera", data=("camera_image",)
            )
            decision = replica.check(question)
            pictures = "keep" if decision.allow else "no"
            sys.stdout.write(
                f"{state.position} {state.subject}: {latest(state)}; pictures: {pictures} ({decision.reason})\n"
            )
            sys.stdout.flush()
    finally:
        await replica.stop()


if __name__ == "__main__":
    asyncio.run(main())
