"""A question about a subject, in the names that the log holds. What no name of this log fits is asked with no data."""

import msgspec

from consentry.decision import Request
from consentry.events import Genesis
from consentry.intake.subjects import (
    fault_of_device,
    fault_of_subject,
    is_hashed,
    is_hashed_device,
    kind_of,
    stored_device,
    stored_subject,
)
from consentry.policy import Policy
from consentry.settings import Settings
from consentry.terms import SubjectIds


def in_the_logs_names(request: Request, identity: Genesis, settings: Settings) -> Request:
    """Under a name that the log cannot hold nothing of a person is found: such a question gets a DENY.

    So does a plain name where the log holds keyed hashes and these settings have no pepper, and the other way round.
    """
    subject, device = request.subject, request.device
    hashed = identity.subject_ids is SubjectIds.HASHED
    names_itself = hashed is bool(settings.subject_pepper)
    fits = hashed if is_hashed(subject) else names_itself and fault_of_subject(subject, settings) is None
    if device is not None:
        fits = fits and (hashed if is_hashed_device(device) else fault_of_device(device, settings) is None)
    if not fits:
        return msgspec.structs.replace(request, data=())
    if not hashed:
        return request
    return msgspec.structs.replace(
        request,
        subject=stored_subject(subject, settings),
        device=None if device is None else stored_device(device, settings),
    )


def of_a_known_type(request: Request, policy: Policy | None) -> Request:
    """A subject of a type that the policy does not know is asked about with no data."""
    if policy is not None and kind_of(request.subject) in policy.subject_types:
        return request
    return msgspec.structs.replace(request, data=())
