"""Look a copy through, in a process of its own: a damaged file may end whoever reads it.

`python -m consentry.replica.look <directory> <max bytes>`: 0 where it is whole; else 1, and what is wrong.
"""

import sys
from pathlib import Path

from consentry.replica.store import UNREADABLE, Store

WHOLE, DAMAGED = 0, 1


def main(directory: str, max_bytes: str) -> int:
    try:
        store = Store(Path(directory), max_bytes=int(max_bytes), clock_tolerance_ms=0, create=False)
        fault = store.find_fault()
    except UNREADABLE as found:
        fault = str(found) or type(found).__name__
    sys.stdout.write(fault)
    return DAMAGED if fault else WHOLE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
