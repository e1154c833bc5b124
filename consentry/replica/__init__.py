"""A read-only copy of consent-state and policy-revisions in this process, which knows how fresh it is."""

from consentry.replica.policies import PolicyFollower
from consentry.replica.replica import ConsentReplica

__all__ = ["ConsentReplica", "PolicyFollower"]
