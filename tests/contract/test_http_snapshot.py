"""docs/reference/openapi.json is the API as it is served. Written by `python tests/contract/test_http_snapshot.py`."""

import json
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
SNAPSHOT = TESTS.parent / "docs" / "reference" / "openapi.json"


def described() -> str:
    from contract.in_memory import Node

    from streams.query.openapi import describe

    return json.dumps(describe(Node().api), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def test_the_committed_description_is_the_one_that_is_served() -> None:
    served = described()
    assert served == SNAPSHOT.read_text(encoding="utf-8"), f"{SNAPSHOT} is of another API: write it anew, and look"


if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    SNAPSHOT.write_text(described(), encoding="utf-8")
