"""Acts of a person, and what is asked of that person, for tests of the replica on the reference policy."""

import time
import uuid

from consentry.decision import Request
from consentry.events import Actor, ConsentGiven, ConsentWithdrawn
from consentry.terms import ActorRole, Channel, Expression, Operation

WHO = "account:ada"


def envelope(subject: str) -> dict[str, object]:
    return {
        "event_id": uuid.uuid4(),
        "subject": subject,
        "occurred_at": time.time_ns() // 1_000_000,
        "actor": Actor(role=ActorRole.SUBJECT, id=subject),
        "channel": Channel.APP,
        "producer": "tests",
    }


def grant(subject: str = WHO) -> ConsentGiven:
    return ConsentGiven(
        **envelope(subject),  # type: ignore[arg-type]
        purpose="interaction.follow",
        operations=(Operation.COLLECT,),
        data=("followed_accounts",),
        recipients=(),
        policy_version=1,
        expression=Expression.SEPARATE,
    )


def withdrawal(subject: str = WHO) -> ConsentWithdrawn:
    return ConsentWithdrawn(**envelope(subject), purpose="interaction.follow")  # type: ignore[arg-type]


def follow(subject: str = WHO) -> Request:
    """What needs consent."""
    return Request(
        subject=subject, operation=Operation.COLLECT, purpose="interaction.follow", data=("followed_accounts",)
    )


def search(subject: str = WHO) -> Request:
    """What needs none."""
    return Request(subject=subject, operation=Operation.USE, purpose="search.service", data=("search_keywords",))
