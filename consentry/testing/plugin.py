"""Fixtures for pytest. In the conftest.py at the root of your tests:

    pytest_plugins = ["consentry.testing.plugin"]

    @pytest.fixture
    def consentry_policy() -> Path:
        return Path("policy.yaml")

`pytest --consentry-live` then tells the same stories to the node that CONSENTRY_NODE_URL and CONSENTRY_BEARER_TOKEN
name; a test that moves the clock is skipped there.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from consentry.policy import parse_policy
from consentry.settings import load_settings
from consentry.testing.memory import InMemoryConsentry
from consentry.testing.person import Person
from consentry.testing.then import Expectation
from consentry.testing.world import World

Tells = Callable[[str], Person]
Expects = Callable[[str], Expectation]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("consentry")
    group.addoption(
        "--consentry-live", action="store_true", help="tell the stories to a real node, as CONSENTRY_* says"
    )


@pytest.fixture
def consentry_policy() -> Path:
    """The policy's path. Yours to define."""
    raise pytest.UsageError("define a fixture consentry_policy that gives the path of your policy's document")


@pytest.fixture
def consentry(request: pytest.FixtureRequest, consentry_policy: Path) -> Iterator[World]:
    """A world of its own for each test: what your service asks."""
    if not request.config.getoption("--consentry-live", default=False):
        yield InMemoryConsentry(consentry_policy)
        return
    from consentry.client import ConsentClient  # an extra that the other way does without
    from consentry.testing.live import LiveConsentry

    version = parse_policy(consentry_policy.read_text(encoding="utf-8")).version
    live = LiveConsentry(ConsentClient(load_settings()), policy_version=version, on_travel=_skip)
    yield live
    live.close()


@pytest.fixture
def given(consentry: World) -> Tells:
    """`given("account:ada")`: somebody, and what they did before."""
    people: dict[str, Person] = {}

    def tell(subject: str) -> Person:
        return people.setdefault(subject, Person(consentry, subject))

    return tell


@pytest.fixture
def when(given: Tells) -> Tells:
    """`when("account:ada")`: the same somebody, and what they do now."""
    return given


@pytest.fixture
def then(given: Tells) -> Expects:
    """`then("account:ada")`: what may be done, and what may not."""
    return lambda subject: Expectation(given(subject))


def _skip() -> NoReturn:
    pytest.skip("a real stack's clock cannot be moved")
