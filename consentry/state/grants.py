"""What a row keeps of acts: asked, deferred, and the grants that the person can have known enough to give."""

from collections.abc import Iterable

import msgspec

from consentry.errors import ConsentryError
from consentry.events import Actor, Cells, ConsentDeferred, ConsentGiven, ConsentReaffirmed, ConsentRequested
from consentry.state.blocks import block_of, meet, without_block, without_scope
from consentry.state.knowledge import is_ahead, is_informed
from consentry.state.row import MAX_CELLS, Act, AgeStatement, CellBlock, Mark, Scope, SubjectState
from consentry.terms import AgeBand, Cell, Expression, Status

_MAX_POLICY_VERSION = 2**31 - 1
MAX_ACTS = 2_048
"""the person alone, with each cell in each expression and asked once, has no more"""
_STRONGEST_FIRST = (Expression.SEPARATE, Expression.EXPRESSED, Expression.IMPLIED)

Acts = tuple[Act, ...]
Blocks = tuple[CellBlock, ...]


def with_ask(
    state: SubjectState,
    event: ConsentRequested | ConsentDeferred,
    status: Status,
    recorded_at: int,
    offset: int,
) -> Acts:
    """The acts after a question, or an answer put off: of these the last for each cell, whoever asked."""
    block = block_of(event)
    if block.size > MAX_CELLS:
        return state.acts
    acts: list[Act] = []
    for act in state.acts:
        if act.status is Status.GIVEN:
            acts.append(act)
        else:
            acts.extend(_with_blocks(act, without_block(act.block, block)))
    acts.append(_act_of(event, status, block, recorded_at, offset))
    return _within_limit(tuple(acts), state.acts)


def with_grant(state: SubjectState, event: ConsentGiven, recorded_at: int, offset: int) -> Acts:
    """The acts after a grant, cell by cell: the same object where it has effect on none."""
    informed = is_informed(state, event.expected_position)
    known = known_cells(state, event, block_of(event), recorded_at, informed=informed)
    if not known:
        return state.acts
    grant = _act_of(
        event, Status.GIVEN, known[0], recorded_at, offset, event.expression, event.valid_until, informed=informed
    )
    return _within_limit(_with_grant(state.acts, state.marks, event.actor, grant, known), state.acts)


def with_reaffirmation(state: SubjectState, event: ConsentReaffirmed, recorded_at: int, offset: int) -> Acts:
    """The acts after the person renewed what that person had granted and nothing had stopped since.

    Each cell takes the strongest expression that stands there. A grant that was withdrawn is no longer there
    to renew: it takes a new one.
    """
    acts = state.acts
    informed = is_informed(state, event.expected_position)
    remaining = known_cells(state, event, block_of(event), recorded_at, informed=informed)
    for expression in _STRONGEST_FIRST:
        if not remaining:
            break
        renewed = _standing(state, event, expression, remaining)
        if renewed:
            until = event.valid_until
            grant = _act_of(event, Status.GIVEN, renewed[0], recorded_at, offset, expression, until, informed=informed)
            acts = _with_grant(acts, state.marks, event.actor, grant, renewed)
            remaining = _minus(remaining, renewed)
    return acts


def known_cells(
    state: SubjectState,
    event: ConsentGiven | ConsentReaffirmed,
    block: CellBlock,
    recorded_at: int,
    *,
    informed: bool,
) -> Blocks:
    """The part of `block` of whose every tightening the person can have known, whoever tightened it.

    By `expected_position`: that of the row's last tightening (`informed`), or not; without one, by time.
    """
    if is_ahead(event, recorded_at) or block.size > MAX_CELLS:
        return ()
    known: Blocks = (block,)
    if informed or not (state.marks or state.opt_outs or state.lifted_opt_outs):
        return known
    unknown_from = min(event.occurred_at, recorded_at) if event.expected_position is None else -1
    for mark in state.marks:
        if mark.recorded_at >= unknown_from:
            known = _without_scopes(known, (mark.scope,))
    for opt_out in (*state.opt_outs, *state.lifted_opt_outs):
        if opt_out.recorded_at >= unknown_from and opt_out.purpose == block.purpose:
            return ()
    return known


def _with_grant(acts: Acts, marks: tuple[Mark, ...], actor: Actor, grant: Act, blocks: Blocks) -> Acts:
    """The acts after `grant` of these cells: of two by one actor in one expression the later by its clock stands.

    A tie: the last.
    """
    rivals = _own_grants(acts, actor, grant.block.purpose, grant.expression)
    for place in rivals:
        if acts[place].occurred_at > grant.occurred_at:
            blocks = _minus(blocks, _unstopped(acts[place], marks))
    if not blocks:
        return acts
    kept = list(acts)
    for place in reversed(rivals):
        if blocks == (acts[place].block,):  # as where somebody grants the same again
            del kept[place]
        else:
            kept[place : place + 1] = _with_blocks(acts[place], _minus((acts[place].block,), blocks))
    kept += _with_blocks(grant, blocks)
    return tuple(kept)


def _own_grants(acts: Acts, actor: Actor, purpose: str, expression: Expression | None) -> list[int]:
    """Where the grants stand that this actor gave for this purpose in this expression."""
    role, who = actor.role, actor.id
    return [
        place
        for place, act in enumerate(acts)
        if act.expression is expression
        and act.block.purpose == purpose
        and act.actor_id == who
        and act.actor_role is role
    ]


def _standing(state: SubjectState, event: ConsentReaffirmed, expression: Expression, blocks: Blocks) -> Blocks:
    """The part of `blocks` that the actor granted in this expression, and that nothing has stopped since.

    What was granted before a statement of age counts for nothing if that lowered the age: only policies tell, so it
    is not there to renew.
    """
    lowered = _last_statement(state)
    return tuple(
        common
        for place in _own_grants(state.acts, event.actor, event.purpose, expression)
        if not _may_be_voided(state.acts[place], lowered)
        for standing in _unstopped(state.acts[place], state.marks)
        for block in blocks
        if (common := meet(block, standing)) is not None
    )


def _last_statement(state: SubjectState) -> AgeStatement | None:
    """The last statement that may have lowered the age."""
    ages = () if state.circumstances is None else state.circumstances.ages
    return next((each for each in reversed(ages) if each.band is not AgeBand.ADULT), None)


def _may_be_voided(act: Act, lowered: AgeStatement | None) -> bool:
    if lowered is None:
        return False
    return act.offset < lowered.offset or (act.occurred_at <= lowered.recorded_at and not act.informed)


def _unstopped(act: Act, marks: tuple[Mark, ...]) -> Blocks:
    return _without_scopes((act.block,), (mark.scope for mark in marks if mark.offset > act.offset))


def _without_scopes(blocks: Blocks, scopes: Iterable[Scope]) -> Blocks:
    for scope in scopes:
        blocks = tuple([piece for block in blocks for piece in without_scope(block, scope)])
    return blocks


def _minus(blocks: Blocks, others: Blocks) -> Blocks:
    for other in others:
        blocks = tuple([piece for block in blocks for piece in without_block(block, other)])
    return blocks


def _with_blocks(act: Act, blocks: Blocks) -> list[Act]:
    """The act for what remains of its cells."""
    if len(blocks) == 1 and blocks[0] is act.block:
        return [act]
    return [msgspec.structs.replace(act, block=block) for block in blocks]


def _act_of(
    event: ConsentRequested | ConsentDeferred | ConsentGiven | ConsentReaffirmed,
    status: Status,
    block: CellBlock,
    recorded_at: int,
    offset: int,
    expression: Expression | None = None,
    valid_until: int | None = None,
    *,
    informed: bool = False,
) -> Act:
    actor = event.actor
    return Act(
        event_id=event.event_id.bytes,
        status=status,
        actor_role=actor.role,
        actor_id=actor.id,
        expression=expression,
        policy_version=checked_version(event.policy_version),
        occurred_at=min(event.occurred_at, recorded_at),
        recorded_at=recorded_at,
        offset=offset,
        valid_until=valid_until,
        block=block,
        informed=informed,
    )


def checked_version(version: int) -> int:
    """A policy's version that the row can hold. Raises ConsentryError."""
    if not 0 <= version <= _MAX_POLICY_VERSION:
        raise ConsentryError(f"{version} is no version of a policy", where="policy_version")
    return version


def _within_limit(acts: Acts, former: Acts) -> Acts:
    """A grant or a question beyond a subject's 512 cells has no effect; intake refuses it before."""
    return former if _beyond_limit([act.block for act in acts]) else acts


def has_room(state: SubjectState, event: Cells) -> bool:
    """Whether the row can take the cells of `event`: a subject has 512 at the most."""
    return not _beyond_limit([block_of(event), *(act.block for act in state.acts)])


def _beyond_limit(blocks: list[CellBlock]) -> bool:
    if len(blocks) > MAX_ACTS:
        return True
    most = 0
    for block in blocks:
        most += len(block.operations) * len(block.data) * (len(block.recipients) or 1)
    if most <= MAX_CELLS:
        return False
    cells: set[Cell] = set()
    for block in blocks:
        if block.size > MAX_CELLS:
            return True
        cells.update(block.cells())
        if len(cells) > MAX_CELLS:
            return True
    return False
