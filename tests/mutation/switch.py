"""What the mutated modules import in place of mutmut's own: each function's mutants, one of which can be chosen.

Chosen once, in a process of its own, so that a call costs nothing but a look into a dictionary.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

MutantDict = dict[str, Callable[..., Any]]
ORIGINAL = "_mutmut_orig"

hits: set[str] = set()
"""the functions that were called since it was last emptied"""
_of_module: dict[str, list[MutantDict]] = defaultdict(list)


def wrap_in_trampoline(mutants: MutantDict) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def trampoline(function: Callable[..., Any]) -> Callable[..., Any]:
        key = f"{function.__module__}.{function.__qualname__}"
        _of_module[function.__module__].append(mutants)

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            hits.add(key)
            return mutants[ORIGINAL](*args, **kwargs)

        return call

    return trampoline


def choose(module: str, name: str) -> None:
    """From now on, in this process, the mutant is what is called."""
    (mutants,) = [mutants for mutants in _of_module[module] if name in mutants]
    mutants[ORIGINAL] = mutants[name]
