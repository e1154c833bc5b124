"""A policy's document as typed values: what it promises, for `decide` to read. No consent state."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from consentry.terms import AgeBand, Basis, Form, Operation, Reason

LEAVING = (Operation.SHARE, Operation.TRANSFER, Operation.DISCLOSE, Operation.EXPORT)
"""The operations by which data leaves the controller."""
ALLOWING = frozenset({Reason.EXEMPT, Reason.NOT_PERSONAL_DATA, Reason.NECESSARY, Reason.CONSENT})


class RecipientRole(StrEnum):
    """What a recipient is: `entrusted` is own processing, `source` is where data is collected from."""

    SOURCE = "source"
    ENTRUSTED = "entrusted"
    AFFILIATE = "affiliate"
    THIRD_PARTY = "third_party"


class ClauseChange(StrEnum):
    """What a revision says of a clause whose wording changed."""

    EDITORIAL = "editorial"
    MATERIAL = "material"


class Controller(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    contact: str


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How old the state behind an ALLOW may be, by what it rests on."""

    consent_ms: int = 2_000
    exemption_ms: int = 3_600_000
    necessity_ms: int = 86_400_000


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's words (AuthZEN) -> ours. Our own words are always understood and are not repeated here."""

    subject_types: Mapping[str, str] = {}
    actions: Mapping[str, Operation] = {}
    resource_types: Mapping[str, str] = {}
    data: Mapping[str, tuple[str, ...]] = {}
    """of a gateway's resource type: what it is about, where a question of that type names no data"""


class Datum(msgspec.Struct, frozen=True, kw_only=True):
    """A category of personal data."""

    name: str
    dpv: str = ""
    """its term in the W3C Data Privacy Vocabulary"""
    sensitive: bool = False
    """separate consent, and never without it"""
    anonymisable: bool = False
    """it can be made such that it is no longer personal"""


class Purpose(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the policy: why which data may be processed, and on what it rests."""

    name: str
    clause: str
    basis: Basis
    operations: tuple[Operation, ...]
    necessary: tuple[str, ...] = ()
    """data without which the purpose's own function cannot work"""
    optional: tuple[str, ...] = ()
    """data that may be refused; needs consent even where the basis is necessity"""
    separate: bool = False
    """each consent must be an act of its own"""
    permission: str | None = None
    """of the operating system, which must be on as well"""
    active: bool = False
    """the caller must say that the function is in use now"""
    form: Form = Form.IDENTIFIABLE
    """the least protective form in which data may be processed"""
    opt_out: bool = False
    protects_minors: bool = False
    role_of: Mapping[str, RecipientRole] = {}
    """recipient -> its role; empty: the line names no recipients"""
    covered: frozenset[str] = frozenset()
    """derived: all data that the line names"""
    without_consent: frozenset[str] = frozenset()
    """derived: the data for which necessity alone is enough (necessary, and not sensitive)"""
    only_separately: frozenset[str] = frozenset()
    """derived: the data that need consent by an act of its own"""

    @property
    def data(self) -> tuple[str, ...]:
        return self.necessary + self.optional

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(self.role_of)

    def names(self, datum: str) -> bool:
        return datum in self.covered


class Exemption(msgspec.Struct, frozen=True, kw_only=True):
    """A case that the policy admits without consent."""

    code: str
    clause: str
    """for collect, store and use"""
    leaving: str | None = None
    """the clause for what leaves; None: it admits nothing that leaves"""
    title: str
    operations: tuple[Operation, ...]
    guardian: bool = True
    """False: for a minor, also without a guardian"""
    after_closure: bool = False
    """True: data may still be stored under it when the account is closed"""
    voided_by_objection: bool = False


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a policy, whole. Durations in ms, times in ms since the epoch (UTC)."""

    id: str
    version: int
    language: str
    jurisdiction: str
    controller: Controller
    announced_at: int | None
    effective_at: int
    text: str
    """the file that holds the wording"""
    guardian_required_below: int
    sensitive_below: int
    unknown_age: AgeBand
    prompt_cooldown_ms: int
    notice_period_ms: int
    time_zone: str
    freshness: Freshness
    subject_types: tuple[str, ...]
    authzen: Vocabulary
    clause_of: Mapping[Reason, str]
    """the clause behind a DENY"""
    storage_location: str
    transfer_mechanisms: tuple[str, ...]
    retention_after_end_ms: int
    strict_purpose_change: bool
    data: Mapping[str, Datum]
    purposes: Mapping[str, Purpose]
    exemptions: Mapping[str, Exemption]
    clause_changes: Mapping[str, ClauseChange]
    """of a revision: each clause whose wording it changed"""

    @property
    def permissions(self) -> frozenset[str]:
        """Every permission of an operating system that a purpose asks for."""
        return frozenset(line.permission for line in self.purposes.values() if line.permission)

    @property
    def clauses(self) -> frozenset[str]:
        """Every clause that the document names."""
        named = {line.clause for line in self.purposes.values()}
        named.update(self.clause_of.values())
        for exemption in self.exemptions.values():
            named.add(exemption.clause)
            if exemption.leaving:
                named.add(exemption.leaving)
        return frozenset(named)
