"""GET /v1/subjects/{subject}/prompt: may the person be asked now? What a check's `prompt` says, for a whole purpose."""

from collections.abc import Iterator

import msgspec
from starlette.datastructures import QueryParams

from consentry.decision import Decision, Request, decide
from consentry.errors import Problem
from consentry.intake import fault_of_subject, stored_subject
from consentry.settings import Settings
from consentry.terms import Operation, Reason
from streams.query.params import flag, min_position, only_known
from streams.query.problems import not_yet_visible, unreadable
from streams.query.seams import Clock, Replica
from streams.query.subjects import consent_questions

PARAMETERS = ("purpose", "scene", "user_initiated", "min_position")


class MayAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a consent for the purpose may be asked for now."""

    subject: str
    """as the log names it"""
    purpose: str
    may_ask: bool
    ask_after: int | None
    """ms; where a refusal forbids it until then"""
    reason: Reason
    """why: of a cell that may be asked for, or else of the first cell of the purpose that consent would decide"""
    policy_version: int | None
    position: str
    """up to where the answer has seen the subject's partition"""
    tightened_position: str | None
    """what the grant that follows names as its expected_position"""
    staleness_ms: int | None


async def may_ask(name: str, params: QueryParams, settings: Settings, replica: Replica, clock: Clock) -> MayAsk:
    """Raises Refusal: 400, and 503 where min_position is not visible in time."""
    fault = fault_of_subject(name, settings)
    if fault is not None:
        raise unreadable(Problem(fault, where="/subject"))
    only_known(params, PARAMETERS)
    purpose = params.get("purpose")
    if not purpose:
        raise unreadable(Problem("is required", where="?purpose"))
    position = min_position(params)
    if position is not None and not await replica.wait_for(position, settings.visible_timeout_ms):
        raise not_yet_visible(position, "repeat it")
    question = Request(
        subject=stored_subject(name, settings),
        operation=Operation.USE,
        purpose=purpose,
        data=(),
        scene=params.get("scene") or None,
        user_initiated=flag(params, "user_initiated"),
    )
    found = _leading(question, replica, clock())
    tightened = found.tightened_position
    return MayAsk(
        subject=question.subject,
        purpose=purpose,
        may_ask=found.prompt.may_ask,
        ask_after=found.prompt.ask_after,
        reason=found.reason,
        policy_version=found.policy_version,
        position=str(found.position),
        tightened_position=None if tightened is None else str(tightened),
        staleness_ms=found.staleness_ms,
    )


def _leading(question: Request, replica: Replica, now: int) -> Decision:
    """Of all cells: one that may be asked for, or else one that may be later, or else the first."""
    view, policies = replica.view(question.subject, now), replica.policies
    decisions: list[Decision] = []
    for each in _questions(question, replica, now):
        decision = decide(view, policies, each, now)
        if decision.prompt.may_ask:
            return decision
        decisions.append(decision)
    later = (decision for decision in decisions if decision.prompt.ask_after is not None)
    return next(later, decisions[0])


def _questions(question: Request, replica: Replica, now: int) -> Iterator[Request]:
    """About each cell that consent decides; of a purpose that has none, or is none, the question as it is."""
    policy = replica.policies.in_force(now)
    line = None if policy is None else policy.purposes.get(question.purpose)
    cells = () if line is None else tuple(consent_questions(question, line))
    yield from cells or (question,)
