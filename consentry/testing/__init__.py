"""An in-memory Consentry for the tests of others: the real intake, fold and decide, a clock to move, no Kafka.

    consentry = InMemoryConsentry(Path("policy.yaml"))
    ada = consentry.person("account:ada").gives("newsletter.weekly")
    assert consentry.check(request).allow

`consentry.testing.plugin` has pytest fixtures, with which the same tests run on a real stack.
"""

from consentry.testing.asynchronous import AsyncInMemoryConsentry
from consentry.testing.clock import MovingClock
from consentry.testing.memory import InMemoryConsentry
from consentry.testing.person import Person
from consentry.testing.then import Expectation
from consentry.testing.world import World

__all__ = ["AsyncInMemoryConsentry", "Expectation", "InMemoryConsentry", "MovingClock", "Person", "World"]
