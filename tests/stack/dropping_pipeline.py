"""A Faust pipeline that drops, as a program of its own: what passes goes to one topic, word of the rest to another."""

from typing import Any

import faust

from consentry import ConsentReplica, Operation, consent_filter, load_settings
from consentry.guard.faust import filtered

settings = load_settings()
app = faust.App(
    settings.topic("dropping"),
    broker=f"kafka://{settings.bootstrap_servers}",
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
clicks = app.topic(settings.topic("app-clicks"), value_serializer="json")
passed = app.topic(settings.topic("passed-clicks"), value_serializer="json")
dropped = app.topic(settings.topic("dropped-clicks"), value_serializer="json")
replica = ConsentReplica(settings)
keep = consent_filter(
    replica,
    purpose="recommendation.personalised",
    operation=Operation.USE,
    subject=lambda click: click["account"],
    fields={"watched": "behaviour"},
    keeps=("account", "number"),
    denied="drop",
    patience_ms=60_000,
)


@app.task
async def follow() -> None:
    await replica.start()


@app.agent(clicks)
async def drop(stream: faust.StreamT[dict[str, Any]]) -> None:
    async for click in filtered(stream, keep, dropped_to=dropped):
        await passed.send(value=click)
