"""On a topic that could lose what it holds nothing is served: the process ends and says how to mend it."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from running import make_topics, settings_for, worker

from consentry.intake import CallerRole
from consentry.settings import Settings
from streams.access import add_token
from streams.topics.table import TOPICS, demands_on

pytestmark = pytest.mark.stack

PROGRAMS = {
    "worker": ("-m", "streams.cli", "worker"),
    "faust": ("-m", "faust", "-A", "streams.app", "worker", "-l", "warn"),
    "node": ("-m", "streams.cli", "serve"),
}


async def change(settings: Settings, name: str, setting: str, value: str) -> None:
    """One setting of a live topic (the client's call replaces them all)."""
    rule = next(rule for rule in TOPICS if rule.name == name)
    changed = {demand.setting: demand.value for demand in demands_on(rule, 1)} | {setting: value}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, settings.topic(name), changed)])
    finally:
        await admin.close()


@pytest.mark.parametrize("program", list(PROGRAMS))
@pytest.mark.parametrize(
    ("topic", "setting", "wrong", "right"),
    [
        ("consent-events", "cleanup.policy", "compact", "delete"),
        ("consent-state", "cleanup.policy", "delete", "compact"),
        ("consent-events", "message.timestamp.type", "CreateTime", "LogAppendTime"),
    ],
)
async def test_a_process_refuses_a_wrong_topic_and_says_how_to_mend_it(
    kafka: str, topic_prefix: str, tmp_path: Path, program: str, topic: str, setting: str, wrong: str, right: str
) -> None:
    tokens = tmp_path / "tokens"
    add_token(tokens, "tests", [CallerRole.ASKER])
    settings = settings_for(kafka, topic_prefix, token_file=str(tokens), http_port=0)
    await make_topics(settings)
    await change(settings, topic, setting, wrong)
    with worker(settings, tmp_path, *PROGRAMS[program]) as child:
        code = await asyncio.to_thread(child.process.wait, 60)
        assert code > 0, child.output
        assert f"--alter --topic {settings.topic(topic)} --add-config {setting}={right}" in child.output
