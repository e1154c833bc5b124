"""Intake: where events are checked, authorised, completed and made fit for the log. Pure; appends nothing.

    submissions = parse_submission(body, settings)
    accepted = take_in(submissions, caller=caller, policies=policies, ...)

Both doors, HTTP and the intake topics, go through `take_in`; nobody else writes the log.
"""

from consentry.intake.bearing import Bearing, bearing_of
from consentry.intake.naming import idempotent_id, quarantine_id
from consentry.intake.roles import AGE_SOURCES, MAY_SEND, Caller, CallerRole
from consentry.intake.rows import RowOf, no_rows
from consentry.intake.subjects import (
    fault_of_subject,
    is_hashed,
    looks_like_contact,
    require_subject_ids,
    stored_device,
    stored_subject,
)
from consentry.intake.submission import Submission, parse_submission
from consentry.intake.take import Accepted, faults_before_sending, take_in

__all__ = [
    "AGE_SOURCES",
    "MAY_SEND",
    "Accepted",
    "Bearing",
    "Caller",
    "CallerRole",
    "RowOf",
    "Submission",
    "bearing_of",
    "fault_of_subject",
    "faults_before_sending",
    "idempotent_id",
    "is_hashed",
    "looks_like_contact",
    "no_rows",
    "parse_submission",
    "quarantine_id",
    "require_subject_ids",
    "stored_device",
    "stored_subject",
    "take_in",
]
