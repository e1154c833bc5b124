"""What an audit finds: the log replayed as it stood before an event, and with it."""

import time

import msgspec

from consentry.audit import AsOf, Replay, policies_known
from consentry.authzen import EvaluationAnswer, answer_of
from consentry.settings import Settings
from consentry.terms import Position
from streams.demo.script import Audit
from streams.demo.stack import Stack
from streams.replay import read_policy_records, read_subject


class Found(msgspec.Struct, frozen=True):
    """The answer as of a position, and on how many of the subject's events it rests."""

    answer: EvaluationAnswer
    folded: int
    left_out: int


def answers_around(stack: Stack, audit: Audit, position: str) -> tuple[Found, Found]:
    """The answer to the audit's question before the event at `position`, and after it. Raises Unavailable."""
    return stack.interruption.run(_answers_around(stack.settings, audit, Position.parse(position)))


async def _answers_around(settings: Settings, audit: Audit, after: Position) -> tuple[Found, Found]:
    request = audit.ask.as_request()
    log = await read_subject(settings, request.subject)
    policies = policies_known(await read_policy_records(settings))
    now = time.time_ns() // 1_000_000

    def found(position: Position) -> Found:
        replay = Replay.of(log.subject, log.entries, AsOf(position=position), log=log.topic)
        decision = replay.decided(request, policies, now).decision
        assert decision is not None
        return Found(answer_of(decision), len(replay.steps), replay.left_out)

    return found(after._replace(offset=after.offset - 1)), found(after)
