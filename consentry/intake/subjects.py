"""Subjects by name: what an id may look like, and the keyed hash that may stand for it in the log.

An id already hashed (`account:h1:...`) is all that the states and obligations of a log of hashed ids show.
It is taken as it stands from whoever answers those, and where it tightens; what a person loosens has to
name the person by the plain id, which a mere reader of the log does not have.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection

from consentry.errors import UntrustedLog
from consentry.events import Genesis
from consentry.settings import Settings
from consentry.terms import SubjectIds

DEVICE = "device"
"""The one type of subject that is no person, in every policy; a subject of any other type may be a guardian."""
_SUBJECT = re.compile(r"(?P<kind>[A-Za-z][A-Za-z0-9_-]{0,31}):(?P<id>[A-Za-z0-9._~-]{1,128})", re.ASCII)
_HASHED = re.compile(r"(?P<kind>[A-Za-z][A-Za-z0-9_-]{0,31}):h1:(?P<id>[A-Za-z0-9_-]{43})", re.ASCII)
_DEVICE = re.compile(r"[A-Za-z0-9._~-]{1,128}", re.ASCII)
_HASHED_DEVICE = re.compile(r"h1:[A-Za-z0-9_-]{43}", re.ASCII)
_SEPARATORS = str.maketrans("", "", "._~- ()")
_PHONE = re.compile(r"(?:tel|phone|mobile|msisdn)?\+?[0-9]{7,15}", re.ASCII | re.IGNORECASE)
_SPELT_MAIL = re.compile(r".+[._~-]at[._~-].+\.[a-z]{2,}", re.ASCII | re.IGNORECASE)


def is_hashed(subject: str) -> bool:
    """True for an id that is a keyed hash already: `account:h1:<base64url>`."""
    return _HASHED.fullmatch(subject) is not None


def is_hashed_device(device: str) -> bool:
    """True for a device whose id, or whose subject, is a keyed hash already."""
    return _HASHED_DEVICE.fullmatch(device) is not None or is_hashed(device)


def kind_of(subject: str) -> str:
    """The type before the colon: `account`, `device`."""
    return subject.partition(":")[0]


def looks_like_contact(name: str) -> str | None:
    """What personal id `name` looks like, or None. The log keeps for ever, so it takes opaque ids alone."""
    if "@" in name or "%40" in name or _SPELT_MAIL.fullmatch(name):
        return "an e-mail address"
    if _PHONE.fullmatch(name.translate(_SEPARATORS)):
        return "a phone number"
    return None


def fault_of_subject(subject: str, settings: Settings, kinds: Collection[str] = ()) -> str | None:
    """What is wrong with a subject as a caller names it, or None. `kinds`: the policy's subject types."""
    hashed = _HASHED.fullmatch(subject)
    if hashed is not None and not settings.subject_pepper:
        return "this log holds plain ids, not keyed hashes"
    if hashed is None:
        contact = looks_like_contact(subject.partition(":")[2])
        if contact is not None:
            return f"the id looks like {contact}; name an opaque id (a numeric one may be written u-1234567)"
    match = hashed or _SUBJECT.fullmatch(subject)
    if match is None:
        return "a subject reads like account:u-7f3a: a type, and an id of 1 to 128 of A-Z a-z 0-9 . _ ~ -"
    if kinds and match["kind"] not in kinds:
        return f"{match['kind']} is no subject type of the policy; known: {', '.join(sorted(kinds))}"
    return None


def fault_of_device(device: str, settings: Settings) -> str | None:
    """What is wrong with the device of a permission: a subject, or an opaque id alone."""
    if ":" in device and not _HASHED_DEVICE.fullmatch(device):
        return fault_of_subject(device, settings)
    if _HASHED_DEVICE.fullmatch(device):
        return None if settings.subject_pepper else "this log holds plain ids, not keyed hashes"
    contact = looks_like_contact(device)
    if contact is not None:
        return f"the id looks like {contact}; name an opaque id"
    return None if _DEVICE.fullmatch(device) else "a device is an id of 1 to 128 of A-Z a-z 0-9 . _ ~ -"


def stored_subject(subject: str, settings: Settings) -> str:
    """The subject as the log holds it: as it stands, or with a pepper `type:h1:<HMAC-SHA-256, base64url>`."""
    if not settings.subject_pepper or is_hashed(subject):
        return subject
    return f"{kind_of(subject)}:h1:{_keyed(subject, settings.subject_pepper)}"


def stored_device(device: str, settings: Settings) -> str:
    """The device of a permission, or of a check, as the log holds it."""
    if not settings.subject_pepper or _HASHED_DEVICE.fullmatch(device):
        return device
    if ":" in device:
        return stored_subject(device, settings)
    return f"h1:{_keyed(device, settings.subject_pepper)}"


def _keyed(text: str, pepper: str) -> str:
    digest = hmac.digest(pepper.encode(), text.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def require_subject_ids(settings: Settings, identity: Genesis) -> None:
    """Raises UntrustedLog where the log holds the other kind of ids than these settings would write."""
    ours = SubjectIds.HASHED if settings.subject_pepper else SubjectIds.PLAIN
    if identity.subject_ids is ours:
        return
    if identity.subject_ids is SubjectIds.HASHED:
        remedy = "set CONSENTRY_SUBJECT_PEPPER to the pepper that this log was written with"
    else:
        remedy = "unset CONSENTRY_SUBJECT_PEPPER, or migrate the log to hashed ids"
    raise UntrustedLog(
        f"the log holds {identity.subject_ids} ids, these settings would write {ours} ones", remedy=remedy
    )
