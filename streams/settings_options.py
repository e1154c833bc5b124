"""Settings as text: what `consentry settings`, each command's flags and the reference page say of them."""

import ast
import inspect
from functools import cache
from itertools import pairwise

import msgspec

from consentry import settings as module
from consentry.settings import PREFIX, Secret, Settings


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, for people."""

    name: str
    kind: type[int] | type[str]
    secret: bool
    default: str
    says: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")


@cache
def described_settings() -> tuple[Described, ...]:
    """Every setting, in its order; what it says stands below it in the code, so the two cannot differ."""
    said = _docstrings()
    return tuple(
        Described(
            name=field.name,
            kind=int if field.type is int else str,
            secret=field.type is Secret,
            default=str(field.default),
            says=said.get(field.name, ""),
        )
        for field in msgspec.structs.fields(Settings)
    )


def described(name: str) -> Described:
    return next(setting for setting in described_settings() if setting.name == name)


def _docstrings() -> dict[str, str]:
    """The string below each field of Settings."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == Settings.__name__)
    said: dict[str, str] = {}
    for field, below in pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
            said[field.target.id] = " ".join(below.value.value.split())
    return said


def shown_value(settings: Settings, setting: Described) -> str:
    """The value as a person may see it."""
    value = getattr(settings, setting.name)
    return "***" if setting.secret and value else str(value)
