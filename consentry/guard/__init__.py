"""Guards: nothing runs, and no record passes, without the consent that it needs. No reasons of their own.

`consentry.guard.fastapi`, `.starlette`, `.aiohttp`, `.faust` and `.aiokafka` are for what their names say, and need it.
"""

from consentry.guard.checker import AsyncChecker, Checker, ConsentDenied
from consentry.guard.functions import requires_consent
from consentry.guard.records import ConsentFilter, Counts, Dropped, WhenDenied, consent_filter

__all__ = [
    "AsyncChecker",
    "Checker",
    "ConsentDenied",
    "ConsentFilter",
    "Counts",
    "Dropped",
    "WhenDenied",
    "consent_filter",
    "requires_consent",
]
