"""What a service imports: each public name is there, and nothing is loaded that was not asked for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import consentry

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "library.md"
HEAVY = ("httpx", "httpx2", "starlette", "fastapi", "aiohttp", "faust", "pytest", "click", "uvicorn", "structlog")


def modules_after(code: str) -> set[str]:
    """The top-level modules that a new process holds once it has run `code`."""
    program = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", consentry.__all__)
def test_a_public_name_can_be_imported(name: str) -> None:
    assert getattr(consentry, name) is not None


def test_all_public_names_are_documented_and_no_others() -> None:
    table, _, _ = PAGE.read_text(encoding="utf-8").partition("\n## ")
    documented = set(re.findall(r"^\| `(\w+)` ", table, re.MULTILINE))
    assert documented == set(consentry.__all__) == set(dir(consentry)) == set(consentry._MODULE_OF)


def test_a_name_that_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fold'"):
        consentry.fold  # noqa: B018


def test_importing_consentry_loads_next_to_nothing() -> None:
    loaded = modules_after("import consentry")
    assert loaded.isdisjoint({*HEAVY, "aiokafka", "msgspec", "yaml", "fastavro", "asyncio"})


@pytest.mark.parametrize("names", ["ConsentReplica", "ConsentPublisher", "Request, Operation, Decision", "Settings"])
def test_what_needs_no_extra_loads_none(names: str) -> None:
    assert modules_after(f"from consentry import {names}").isdisjoint(HEAVY)


def test_what_needs_an_extra_says_which_where_it_is_missing() -> None:
    code = "import sys; sys.modules['httpx2'] = None\nfrom consentry import ConsentClient"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ImportError: ConsentClient needs httpx2: pip install 'consentry[client]'" in done.stderr
