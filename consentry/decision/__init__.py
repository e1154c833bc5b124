"""The decision: what is asked, what is answered, and the order of steps between them. No I/O, clock or logs."""

from consentry.decision.answer import DatumResult, Decision, Duty, Prompt, Request, View
from consentry.decision.order import decide

__all__ = ["DatumResult", "Decision", "Duty", "Prompt", "Request", "View", "decide"]
