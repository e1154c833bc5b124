"""One change from a version of a policy to the next, and how it weighs. No rules."""

from enum import Enum, StrEnum
from typing import NamedTuple

import msgspec

from consentry.terms import Cell, Operation


class ChangeClass(StrEnum):
    """What a change means for consent that was given before it."""

    EDITORIAL = "editorial"
    """nothing that anybody agreed to is other"""
    NARROWING = "narrowing"
    """less is allowed, or more is demanded: binds at once, asks nobody"""
    MATERIAL = "material"
    """something that was agreed to is other, or something is newly allowed"""


class Change(msgspec.Struct, frozen=True):
    """What is other, where, and of what class."""

    purpose: str
    """"" : the policy as a whole"""
    operations: tuple[Operation, ...]
    """with `data` and `recipients` the cells it is about; all three are empty for the policy as a whole"""
    data: tuple[str, ...]
    recipients: tuple[str, ...]
    change: ChangeClass
    reduces: bool
    """it lets be allowed, without a new act of the person, what was not"""
    clause: str
    what: str
    """a sentence for people"""
    field: str
    """of the document"""
    asks_again: bool = False
    """consent given under the former version is due again"""


class Reduces(Enum):
    """When a change reduces a right."""

    NEVER = 0
    WHERE_NECESSARY = 1
    """where a cell it touches is now allowed by necessity"""
    ALWAYS = 2


class Weight(NamedTuple):
    """A row's right side in the tables of rules."""

    change: ChangeClass
    reduces: Reduces = Reduces.NEVER
    touches_cells: bool = True
    """False: it reduces a right without making any cell's consent due again"""


EDITORIAL = Weight(ChangeClass.EDITORIAL)
NARROWS = Weight(ChangeClass.NARROWING)
ASKS = Weight(ChangeClass.MATERIAL)
FREES = Weight(ChangeClass.MATERIAL, Reduces.WHERE_NECESSARY)
REDUCES = Weight(ChangeClass.MATERIAL, Reduces.ALWAYS)
REDUCES_ALONE = Weight(ChangeClass.MATERIAL, Reduces.ALWAYS, touches_cells=False)


class Found(NamedTuple):
    """A change, and the cells that are material because of it."""

    change: Change
    material: frozenset[Cell] = frozenset()
