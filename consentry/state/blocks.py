"""Set arithmetic of cells: blocks (operations x data x recipients of one purpose) and the scopes over them.

Every block and scope made here is in one canonical order: the same log always gives the same bytes.
"""

from consentry.errors import ConsentryError
from consentry.events import Cells, ExemptionEnded, ExemptionInvoked, Scoped
from consentry.state.row import CellBlock, Scope
from consentry.terms import Operation

MAX_SCOPE_TEXT = 2_048
"""characters of the words in a scope's data or recipients; a longer list is widened to every one"""
_OPERATIONS = tuple(Operation)
_IN_ORDER = frozenset(
    tuple([operation for place, operation in enumerate(_OPERATIONS) if bits >> place & 1])
    for bits in range(1 << len(_OPERATIONS))
)
"""every choice of operations in the canonical order, as nearly all events name them"""
_NO_RECIPIENT = ("",)


def block_of(event: Cells) -> CellBlock:
    """The cells that an event names. Raises ConsentryError where it names none: intake fills them in."""
    if not event.purpose or not event.operations or not event.data:
        raise ConsentryError("it names no cells", where=type(event).__name__)
    return CellBlock(
        event.purpose,
        _in_order(event.operations),
        _words(event.data),
        _words(event.recipients) if event.recipients else (),
    )


def scope_of(event: Scoped) -> Scope:
    """What an event covers; a part left out is empty and means every one."""
    return Scope(
        event.purpose or "",
        _in_order(event.operations) if event.operations else (),
        _words(event.data) if event.data else (),
        _words(event.recipients) if event.recipients else (),
    )


def scope_of_exemption(event: ExemptionInvoked | ExemptionEnded) -> Scope:
    """What an exemption names; a purpose or recipients left out are empty."""
    return Scope(
        event.purpose or "",
        _in_order(event.operations),
        _words(event.data),
        _words(event.recipients) if event.recipients else (),
    )


def bounded(scope: Scope) -> Scope:
    """A row has a size: what would burst it covers everything instead."""
    if text_of(scope.data) <= MAX_SCOPE_TEXT and text_of(scope.recipients) <= MAX_SCOPE_TEXT:
        return scope
    return Scope(
        scope.purpose,
        scope.operations,
        scope.data if text_of(scope.data) <= MAX_SCOPE_TEXT else (),
        scope.recipients if text_of(scope.recipients) <= MAX_SCOPE_TEXT else (),
    )


def text_of(words: tuple[str, ...]) -> int:
    return sum(map(len, words)) + len(words)


def _in_order(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    if operations in _IN_ORDER:
        return operations
    return tuple([operation for operation in _OPERATIONS if operation in operations])


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    return words if len(words) == 1 else tuple(sorted(set(words)))


def meet(block: CellBlock, other: CellBlock) -> CellBlock | None:
    """The cells of both."""
    if block.purpose != other.purpose or bool(block.recipients) != bool(other.recipients):
        return None
    operations = tuple([operation for operation in block.operations if operation in other.operations])
    data = tuple([datum for datum in block.data if datum in other.data])
    recipients = tuple([recipient for recipient in block.recipients if recipient in other.recipients])
    if not operations or not data or (block.recipients and not recipients):
        return None
    return CellBlock(block.purpose, operations, data, recipients)


def without_block(block: CellBlock, other: CellBlock) -> tuple[CellBlock, ...]:
    """The cells of `block` that `other` does not hold: itself alone where they share none."""
    if block.purpose != other.purpose:
        return (block,)
    if block == other:
        return ()
    return _without(block, other.operations, other.data, other.recipients or _NO_RECIPIENT)


def without_scope(block: CellBlock, scope: Scope) -> tuple[CellBlock, ...]:
    """The cells of `block` that `scope` does not cover."""
    if scope.purpose and scope.purpose != block.purpose:
        return (block,)
    return _without(
        block,
        scope.operations or block.operations,
        scope.data or block.data,
        scope.recipients or block.recipients or _NO_RECIPIENT,
    )


def _without(
    block: CellBlock, operations: tuple[Operation, ...], data: tuple[str, ...], recipients: tuple[str, ...]
) -> tuple[CellBlock, ...]:
    own_recipients = block.recipients or _NO_RECIPIENT
    common_operations = tuple([operation for operation in block.operations if operation in operations])
    common_data = tuple([datum for datum in block.data if datum in data])
    if not common_operations or not common_data or not any(who in recipients for who in own_recipients):
        return (block,)
    pieces = []
    rest_operations = tuple([operation for operation in block.operations if operation not in operations])
    if rest_operations:
        pieces.append(CellBlock(block.purpose, rest_operations, block.data, block.recipients))
    rest_data = tuple([datum for datum in block.data if datum not in data])
    if rest_data:
        pieces.append(CellBlock(block.purpose, common_operations, rest_data, block.recipients))
    rest_recipients = tuple([who for who in own_recipients if who not in recipients])
    if rest_recipients:
        pieces.append(CellBlock(block.purpose, common_operations, common_data, rest_recipients))
    return tuple(pieces)


def within(inner: Scope, outer: Scope) -> bool:
    """Whether `outer` covers whatever `inner` covers."""
    return (
        (not outer.purpose or inner.purpose == outer.purpose)
        and _part_within(inner.operations, outer.operations)
        and _part_within(inner.data, outer.data)
        and _part_within(inner.recipients, outer.recipients)
    )


def _part_within(inner: tuple[str, ...], outer: tuple[str, ...]) -> bool:
    return not outer or (bool(inner) and set(inner) <= set(outer))


def join(one: Scope, other: Scope) -> Scope:
    """The narrowest scope that covers both."""
    operations = one.operations + other.operations if one.operations and other.operations else ()
    data = one.data + other.data if one.data and other.data else ()
    recipients = one.recipients + other.recipients if one.recipients and other.recipients else ()
    return Scope(
        one.purpose if one.purpose == other.purpose else "",
        _in_order(operations) if operations else (),
        _words(data) if data else (),
        _words(recipients) if recipients else (),
    )
