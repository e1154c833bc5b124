"""What is asked, what the answer rests on, and the answer. No rules.

Nothing here can be part of a cycle, so Python's collector need not know of it: `gc=False`.
"""

from enum import StrEnum

import msgspec

from consentry.state.row import SubjectState
from consentry.terms import ENGINE_VERSION, Basis, Form, Operation, Position, Reason, Status


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """May this be done with these data of this subject, for this purpose?"""

    subject: str
    operation: Operation
    purpose: str
    data: tuple[str, ...]
    """data categories; an ALLOW covers each of them"""
    recipient: str | None = None
    form: Form = Form.IDENTIFIABLE
    active: bool = False
    """the caller says that the function is in use now"""
    device: str | None = None
    """whose permission counts; None: every known device's"""
    transfer_mechanism: str | None = None
    joined_with_identity: bool | None = None
    """None: not said"""
    min_position: Position | None = None
    """the answer may rest on no older state than this"""
    scene: str | None = None
    """where the person would be asked; bears on the prompt alone"""
    user_initiated: bool = False
    """the person does what needs the consent; bears on the prompt alone"""


class View(msgspec.Struct, frozen=True, gc=False):
    """What a reader knows of a subject, and how old that can be."""

    row: SubjectState | None
    """None: the log says nothing of the subject"""
    position: Position
    """up to where the subject's partition is complete"""
    staleness_ms: int | None
    """of rows and policies; None: it cannot be proven, and counts as older than any bound"""


class Duty(StrEnum):
    """What follows for who asked."""

    DEIDENTIFY = "deidentify"
    STOP_PROCESSING = "stop_processing"
    DELETE_OR_ANONYMISE = "delete_or_anonymise"
    ASK_AGAIN = "ask_again"
    ASK_GUARDIAN = "ask_guardian"
    REAFFIRM = "reaffirm"


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """May the person be asked now?"""

    may_ask: bool
    ask_after: int | None = None
    """ms since the epoch: a refusal forbids to ask before it"""


class DatumResult(msgspec.Struct, frozen=True, gc=False):
    """The answer for one data category."""

    data: str
    allow: bool
    reason: Reason
    clause: str
    basis: Basis | None
    status: Status
    evidence: tuple[str, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer. Times in ms since the epoch, UTC."""

    allow: bool
    reason: Reason
    clause: str
    """of the policy's wording: an ALLOW its purpose's, a DENY its reason's"""
    basis: Basis | None
    status: Status
    """of the consent cell, as far as the search went"""
    evidence: tuple[str, ...]
    """ids of the events that it rests on"""
    policy_version: int | None
    position: Position
    tightened_position: Position | None
    """of the row's last tightening; a later grant names it as its `expected_position`"""
    staleness_ms: int | None
    engine_version: str = ENGINE_VERSION
    expires_at: int | None = None
    """before it, time alone changes nothing of this answer but the prompt"""
    obligations: tuple[Duty, ...] = ()
    prompt: Prompt = Prompt(may_ask=False)
    results: tuple[DatumResult, ...] = ()
    """for each data category, in the order of the request"""
