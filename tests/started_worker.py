"""A worker that starts, prints as JSON what its live consumer of the log reads with, and stops.

`python started_worker.py`; a process of its own, since a worker that cannot go on ends its process.
"""

import asyncio
import json
from typing import Any

from consentry.settings import load_settings
from streams.app import create_app


async def reading() -> dict[str, Any]:
    app = create_app(load_settings())
    await app.start()
    try:
        consumer = app.consumer._thread._consumer
        return {
            "enable_auto_commit": consumer._enable_auto_commit,
            "auto_offset_reset": consumer._auto_offset_reset,
            "isolation_level": consumer._isolation_level,
            "check_crcs": consumer._check_crcs,
            "group_id": consumer._group_id,
            "group_instance_id": consumer._group_instance_id,
            "session_timeout_ms": consumer._session_timeout_ms,
        }
    finally:
        await app.stop()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(reading())))
