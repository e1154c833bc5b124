"""A Faust pipeline: what people watched and wrote goes on to analytics only as far as each of them has agreed.

CONSENTRY_BOOTSTRAP_SERVERS=127.0.0.1:19092 faust -A masked_analytics worker
"""

from typing import Any

import faust

from consentry import ConsentReplica, Operation, consent_filter, load_settings
from consentry.guard.faust import filtered

settings = load_settings()
app = faust.App(
    settings.topic("masked-analytics"),
    broker=f"kafka://{settings.bootstrap_servers}",
    topic_allow_declare=False,
    topic_disable_leader=True,
    web_enabled=False,
    consumer_auto_offset_reset="earliest",
)
clicks = app.topic(settings.topic("app-clicks"), value_serializer="json")
analytics = app.topic(settings.topic("analytics-clicks"), value_serializer="json")
replica = ConsentReplica(settings)
keep = consent_filter(
    replica,
    purpose="recommendation.personalised",
    operation=Operation.USE,
    subject=lambda click: click["account"],
    fields={"watched": "behaviour", "wrote": "posted_content"},
    keeps=("account", "at"),  # what is in neither list does not pass
    patience_ms=30_000,  # state that is not fresh holds records back for so long, then they are masked
)


@app.task
async def follow() -> None:
    await replica.start()


@app.on_before_shutdown.connect
async def leave(*_: object, **__: object) -> None:
    await replica.stop()


@app.agent(clicks)
async def mask(stream: faust.StreamT[dict[str, Any]]) -> None:
    async for click in filtered(stream, keep):
        await analytics.send(key=click["account"], value=click)
