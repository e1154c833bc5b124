"""The policy: its document typed and checked, its history, what a revision must fulfil. No consent state."""

from consentry.policy.changes import Change, ChangeClass, Changes, changes_between
from consentry.policy.declaration import AnyDeclaration, check_declaration, of_this_log, standing_declaration
from consentry.policy.document import (
    ALLOWING,
    LEAVING,
    ClauseChange,
    Controller,
    Datum,
    Exemption,
    Freshness,
    Policy,
    Purpose,
    RecipientRole,
    Vocabulary,
)
from consentry.policy.history import Period, Policies, Revision
from consentry.policy.parse import parse_policy
from consentry.policy.revision import changed_clauses, check_follows, prepare_revision
from consentry.policy.wording import UnfoundClause, clause_hashes, clauses_of, missing_clauses, unfound_clauses

__all__ = [
    "ALLOWING",
    "LEAVING",
    "AnyDeclaration",
    "Change",
    "ChangeClass",
    "Changes",
    "ClauseChange",
    "Controller",
    "Datum",
    "Exemption",
    "Freshness",
    "Period",
    "Policies",
    "Policy",
    "Purpose",
    "RecipientRole",
    "Revision",
    "UnfoundClause",
    "Vocabulary",
    "changed_clauses",
    "changes_between",
    "check_declaration",
    "check_follows",
    "clause_hashes",
    "clauses_of",
    "missing_clauses",
    "of_this_log",
    "parse_policy",
    "prepare_revision",
    "standing_declaration",
    "unfound_clauses",
]
