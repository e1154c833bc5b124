"""What the service's own tests stand on: the policy, and given, when, then."""

from pathlib import Path

import pytest

pytest_plugins = ["consentry.testing.plugin"]


@pytest.fixture
def consentry_policy() -> Path:
    return Path(__file__).parents[1] / "policies" / "reference-v1.yaml"
