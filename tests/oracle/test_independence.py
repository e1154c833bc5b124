"""The oracle is independent: it imports nothing of the fold, and of the decision only the question."""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPARES = {"agreement.py"}
"""What asks both, and so has to know both."""
ALLOWED = {
    "consentry.decision": {"Request"},
    "consentry.errors": {"InvalidPolicy"},
    "consentry.events": None,
    "consentry.policy": None,
    "consentry.terms": None,
}
"""Module -> the names that may be taken from it; None: any."""
OWN_READING = {"Policies", "Revision"}
"""Of consentry.policy: how versions follow and differ, the oracle reads from the contract itself."""
FILES = sorted(path for path in HERE.glob("*.py") if path.name not in COMPARES and not path.name.startswith("test_"))


def _imports(path: Path) -> list[tuple[str, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return [(module, name) for module, name in found if module.split(".")[0] == "consentry"]


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_the_oracle_imports_only_words_events_and_the_policy_document(path: Path) -> None:
    for module, name in _imports(path):
        assert module in ALLOWED, f"{path.name} imports {module}"
        names = ALLOWED[module]
        assert names is None or name in names, f"{path.name} imports {name} from {module}"
        assert name not in OWN_READING, f"{path.name} imports {name} from {module}"


def test_the_oracle_is_among_the_files_that_are_looked_at() -> None:
    assert {"oracle.py", "ages.py", "guardians.py", "acts.py", "consent.py", "versions.py"} <= {p.name for p in FILES}


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_no_part_of_the_oracle_compares(path: Path) -> None:
    assert "oracle.agreement" not in path.read_text()
