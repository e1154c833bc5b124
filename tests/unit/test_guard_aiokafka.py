"""Which consumers are filtered."""

import pytest
from aiokafka import AIOKafkaConsumer
from unit.story import PROJECT

from consentry import consent_filter
from consentry.errors import ConsentryError
from consentry.guard.aiokafka import filtered
from consentry.testing import InMemoryConsentry

REFERENCE = PROJECT / "examples/policies/reference-v1.yaml"


async def test_a_groups_consumer_that_commits_before_a_record_is_handled_is_refused() -> None:
    keep = consent_filter(
        InMemoryConsentry(REFERENCE),
        purpose="recommendation.personalised",
        operation="use",
        subject=lambda click: click["account"],
        data="behaviour",
    )
    consumer = AIOKafkaConsumer("clicks", bootstrap_servers="127.0.0.1:1", group_id="analytics")
    with pytest.raises(ConsentryError, match="before they are weighed"):
        await anext(aiter(filtered(consumer, keep)))
    await consumer.stop()
