"""Consentry: ask before you collect. What a service imports.

Each name is loaded when it is first asked for: some need an extra that not every service installs (`ConsentClient`:
consentry[client]), and `import consentry` itself stays light. Events are in consentry.events.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from consentry.client import AsyncConsentClient, ConsentClient
    from consentry.decision import Decision, Request
    from consentry.errors import ConsentryError, InvalidEvent, InvalidPolicy, NotFresh, Unavailable
    from consentry.guard import ConsentDenied, consent_filter, requires_consent
    from consentry.publisher import ConsentPublisher
    from consentry.replica import ConsentReplica
    from consentry.settings import Settings, load_settings
    from consentry.terms import Form, Operation, Position, Reason, Status

_MODULE_OF = {
    "AsyncConsentClient": "client",
    "ConsentClient": "client",
    "ConsentDenied": "guard",
    "ConsentPublisher": "publisher",
    "ConsentReplica": "replica",
    "ConsentryError": "errors",
    "Decision": "decision",
    "Form": "terms",
    "InvalidEvent": "errors",
    "InvalidPolicy": "errors",
    "NotFresh": "errors",
    "Operation": "terms",
    "Position": "terms",
    "Reason": "terms",
    "Request": "decision",
    "Settings": "settings",
    "Status": "terms",
    "Unavailable": "errors",
    "consent_filter": "guard",
    "load_settings": "settings",
    "requires_consent": "guard",
}
_EXTRAS = frozenset({"client"})
"""modules that need the extra of the same name"""

__all__ = [
    "AsyncConsentClient",
    "ConsentClient",
    "ConsentDenied",
    "ConsentPublisher",
    "ConsentReplica",
    "ConsentryError",
    "Decision",
    "Form",
    "InvalidEvent",
    "InvalidPolicy",
    "NotFresh",
    "Operation",
    "Position",
    "Reason",
    "Request",
    "Settings",
    "Status",
    "Unavailable",
    "consent_filter",
    "load_settings",
    "requires_consent",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'consentry' has no attribute {name!r}")
    module = _MODULE_OF[name]
    try:
        return getattr(import_module(f"consentry.{module}"), name)
    except ModuleNotFoundError as fault:
        if module not in _EXTRAS:
            raise
        raise ImportError(f"{name} needs {fault.name}: pip install 'consentry[{module}]'") from fault


def __dir__() -> list[str]:
    return __all__
