"""Under test: a replica from its start until all is there, cold where its directory is empty, else warm."""

import asyncio
import gc
import time

from benchmarks.children import Said, anonymous_bytes, end_with_parent, peak_bytes_of, say
from consentry.replica import ConsentReplica
from consentry.settings import load_settings


async def start() -> None:
    replica = ConsentReplica(load_settings())
    gc.collect()
    before = anonymous_bytes()
    started = time.perf_counter()
    await replica.start()
    seconds = time.perf_counter() - started
    gc.collect()
    held = max(0, anonymous_bytes() - before)
    say(
        Said(
            event="complete",
            count=replica.subjects,
            seconds=seconds,
            bytes=held,
            peak_bytes=peak_bytes_of("self") or 0,
        )
    )
    await replica.stop()
    say(Said(event="stopped"))


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(start())
