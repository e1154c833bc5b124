"""Columns: groups of structs as fixed-length records and the texts that they take in order, and terms as one byte.

An Avro array of records, or a parallel array for each field, costs three to four times as much (docs/decisions/).
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from consentry.codec import datum
from consentry.terms import ActorRole, AgeBand, AgeSource, Expression, Operation, PermissionState, Status

Item = TypeVar("Item")
NO_ITEMS = datum.EMPTY + datum.EMPTY
"""a group of none"""

# A term is one byte, its place in these tables. They only ever grow at the end.
STATUSES = (
    Status.REQUESTED,
    Status.DEFERRED,
    Status.REFUSED,
    Status.GIVEN,
    Status.WITHDRAWN,
    Status.REVOKED,
    Status.INVALIDATED,
)
ROLES = (ActorRole.SUBJECT, ActorRole.GUARDIAN, ActorRole.CONTROLLER, ActorRole.SYSTEM)
EXPRESSIONS = (None, Expression.IMPLIED, Expression.EXPRESSED, Expression.SEPARATE)
PERMISSION_STATES = (PermissionState.ON, PermissionState.OFF, PermissionState.LIMITED)
OPERATIONS = (
    Operation.COLLECT,
    Operation.STORE,
    Operation.USE,
    Operation.SHARE,
    Operation.TRANSFER,
    Operation.DISCLOSE,
    Operation.EXPORT,
)
AGE_SOURCES = (AgeSource.VERIFIED, AgeSource.GUARDIAN, AgeSource.DECLARED, AgeSource.INFERRED)
AGE_BANDS = (None, AgeBand.CHILD, AgeBand.MINOR, AgeBand.ADULT)

STATUS_CODE = {status: code for code, status in enumerate(STATUSES)}
ROLE_CODE = {role: code for code, role in enumerate(ROLES)}
EXPRESSION_CODE = {expression: code for code, expression in enumerate(EXPRESSIONS)}
PERMISSION_CODE = {state: code for code, state in enumerate(PERMISSION_STATES)}
AGE_SOURCE_CODE = {source: code for code, source in enumerate(AGE_SOURCES)}
AGE_BAND_CODE = {band: code for code, band in enumerate(AGE_BANDS)}
_OPERATION_BIT = {operation: 1 << place for place, operation in enumerate(OPERATIONS)}
OPERATIONS_OF = tuple(
    tuple(operation for operation in OPERATIONS if bits & _OPERATION_BIT[operation]) for bits in range(1 << 7)
)


_BITS_OF = {operations: bits for bits, operations in enumerate(OPERATIONS_OF)}


def operation_bits(operations: tuple[Operation, ...]) -> int:
    found = _BITS_OF.get(operations)
    if found is not None:
        return found
    bits = 0  # in another order than a row has them
    for operation in operations:
        bits |= _OPERATION_BIT[operation]
    return bits


def group(items: tuple[Item, ...], pack: Callable[[Item], bytes], texts_of: Callable[[Item], tuple[str, ...]]) -> bytes:
    """A column of fixed-length records, and the column of the texts that they take."""
    if not items:
        return NO_ITEMS
    if len(items) == 1:  # as most are
        return datum.octets(pack(items[0])) + datum.texts(texts_of(items[0]))
    texts: list[str] = []
    for item in items:
        texts += texts_of(item)
    return datum.octets(b"".join(map(pack, items))) + datum.texts(texts)


class Texts:
    """The texts of a group, taken in order; all of them, no more and no fewer."""

    __slots__ = ("_place", "_texts")

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts
        self._place = 0

    def take(self, count: int) -> tuple[str, ...]:
        end = self._place + count
        taken = tuple(self._texts[self._place : end])
        self._place = end
        return taken

    def end(self) -> None:
        check_end(self._texts, self._place)


def check_end(texts: Sequence[str], taken: int) -> None:
    """Raises ValueError where there are more texts, or fewer, than were taken."""
    if taken != len(texts):
        raise ValueError(f"{len(texts)} texts where {taken} belong")
