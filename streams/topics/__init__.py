"""The topics: what has to hold for each, as data; make them, check them, know which log this is."""

from streams.topics.check import Finding, check_topics, producers_of, read_identity, require_topics
from streams.topics.create import Creation, create_topics
from streams.topics.table import TOPICS, Demand, Match, Spread, TopicRule, demands_on

__all__ = [
    "TOPICS",
    "Creation",
    "Demand",
    "Finding",
    "Match",
    "Spread",
    "TopicRule",
    "check_topics",
    "create_topics",
    "demands_on",
    "producers_of",
    "read_identity",
    "require_topics",
]
