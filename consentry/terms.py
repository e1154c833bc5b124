"""The words of the contract: operations, statuses, reasons, cells, positions. No rules."""

import re
from enum import StrEnum
from typing import NamedTuple, Self

from consentry.errors import ConsentryError

ENGINE_VERSION = "0.1.0"
FOLD_VERSION = 3
"""Raised whenever `fold` would give another row for the same log; rows of an older version never replace newer ones."""


class Operation(StrEnum):
    COLLECT = "collect"
    STORE = "store"
    USE = "use"
    SHARE = "share"
    TRANSFER = "transfer"
    DISCLOSE = "disclose"
    EXPORT = "export"


class Status(StrEnum):
    """Of a consent cell. The first seven are stored; the others are seen by `decide` alone."""

    REQUESTED = "requested"
    DEFERRED = "deferred"
    REFUSED = "refused"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    REVOKED = "revoked"
    INVALIDATED = "invalidated"
    UNKNOWN = "unknown"
    PENDING_GUARDIAN = "pending_guardian"
    EXPIRED = "expired"
    RECONSENT_DUE = "reconsent_due"
    CLOSED = "closed"


class Reason(StrEnum):
    # allows
    EXEMPT = "EXEMPT"
    NOT_PERSONAL_DATA = "NOT_PERSONAL_DATA"
    NECESSARY = "NECESSARY"
    CONSENT = "CONSENT"
    # denies
    NOT_YET_VISIBLE = "NOT_YET_VISIBLE"
    PURPOSE_UNKNOWN = "PURPOSE_UNKNOWN"
    SUBJECT_CLOSED = "SUBJECT_CLOSED"
    SERVICE_DISCONTINUED = "SERVICE_DISCONTINUED"
    DATA_NOT_COVERED = "DATA_NOT_COVERED"
    RECIPIENT_NOT_COVERED = "RECIPIENT_NOT_COVERED"
    IDENTIFIABLE_FORM = "IDENTIFIABLE_FORM"
    TRANSFER_MECHANISM_REQUIRED = "TRANSFER_MECHANISM_REQUIRED"
    OPTED_OUT = "OPTED_OUT"
    GUARDIAN_REQUIRED = "GUARDIAN_REQUIRED"
    FEATURE_NOT_ACTIVE = "FEATURE_NOT_ACTIVE"
    PERMISSION_OFF = "PERMISSION_OFF"
    NO_CONSENT = "NO_CONSENT"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    REVOKED = "REVOKED"
    INVALIDATED = "INVALIDATED"
    EXPIRED = "EXPIRED"
    RECONSENT_DUE = "RECONSENT_DUE"
    PENDING_GUARDIAN = "PENDING_GUARDIAN"
    PENDING_SUBJECT = "PENDING_SUBJECT"
    SEPARATE_CONSENT_REQUIRED = "SEPARATE_CONSENT_REQUIRED"
    QUARANTINED = "QUARANTINED"
    STALE = "STALE"


class Basis(StrEnum):
    NECESSITY = "necessity"
    CONSENT = "consent"
    EXEMPTION = "exemption"


class Expression(StrEnum):
    """How consent was shown; only the last two ever count, and some cells need the last."""

    IMPLIED = "implied"
    EXPRESSED = "expressed"
    SEPARATE = "separate"


class Form(StrEnum):
    IDENTIFIABLE = "identifiable"
    DEIDENTIFIED = "deidentified"
    ANONYMISED = "anonymised"


class ActorRole(StrEnum):
    SUBJECT = "subject"
    GUARDIAN = "guardian"
    CONTROLLER = "controller"
    SYSTEM = "system"


class Channel(StrEnum):
    APP = "app"
    WEB = "web"
    SDK = "sdk"
    API = "api"


class PermissionState(StrEnum):
    ON = "on"
    OFF = "off"
    LIMITED = "limited"


class Effect(StrEnum):
    """What an event did to its subject's row."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    UNCHANGED = "unchanged"


class SubjectIds(StrEnum):
    """Which ids a log holds; its genesis says so, and the other kind is refused."""

    PLAIN = "plain"
    HASHED = "hashed"


class Cell(NamedTuple):
    """What consent is about: purpose x operation x data category (x recipient, else "")."""

    purpose: str
    operation: Operation
    data: str
    recipient: str = ""


_POSITION = re.compile(r"e(\d{1,9})\.p(\d{1,9})\.o(\d{1,18})", re.ASCII)


class Position(NamedTuple):
    """Where a record stands. Offsets alone are no identity, so the epoch comes first. Text: `e1.p3.o812`."""

    epoch: int
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ConsentryError when `text` is not a position."""
        match = _POSITION.fullmatch(text)
        if match is None:
            raise ConsentryError(f"{text[:40]!r} is not a position", remedy="a position reads like e1.p3.o812")
        return cls(*(int(part) for part in match.groups()))

    def __str__(self) -> str:
        return f"e{self.epoch}.p{self.partition}.o{self.offset}"


class AgeBand(StrEnum):
    CHILD = "child"
    MINOR = "minor"
    ADULT = "adult"


class AgeSource(StrEnum):
    VERIFIED = "verified"
    GUARDIAN = "guardian"
    DECLARED = "declared"
    INFERRED = "inferred"


class Right(StrEnum):
    ACCESS = "access"
    COPY = "copy"
    CORRECTION = "correction"
    ERASURE = "erasure"
    CLOSURE = "closure"
    COMPLAINT = "complaint"
    EXPLANATION = "explanation"
    OBJECTION = "objection"


class Outcome(StrEnum):
    GRANTED = "granted"
    REJECTED = "rejected"


class Disposition(StrEnum):
    """How a quarantined record was settled."""

    REPLAYED = "replayed"
    NO_EFFECT = "no_effect"
