"""Under test: the reading of all rows, as a worker does it when it takes over partitions."""

import asyncio
import gc
import time

from benchmarks.children import Said, end_with_parent, peak_bytes_of, resident_bytes, say
from consentry.replica.reader import StateReader
from consentry.settings import load_settings


async def restore() -> None:
    settings = load_settings()
    reader = StateReader(settings, range(settings.partitions))
    await reader.start()
    try:
        gc.collect()
        before = resident_bytes()
        started = time.perf_counter()
        await reader.read_to_end(settings.restore_timeout_ms)
        seconds = time.perf_counter() - started
    finally:
        await reader.stop()
    gc.collect()
    rows = sum(len(held) for held in reader.rows.values())
    held = resident_bytes() - before
    say(Said(event="restored", count=rows, seconds=seconds, bytes=held, peak_bytes=peak_bytes_of("self") or 0))


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(restore())
