"""ConsentClient, AsyncConsentClient: for services that ask, and publish, over HTTP. Any doubt is a DENY. No rules."""

from consentry.answers import NOWHERE, Answer, Appended, Doubt
from consentry.client.asynchronous import AsyncConsentClient
from consentry.client.blocking import ConsentClient
from consentry.client.state import KnownSubject

__all__ = ["NOWHERE", "Answer", "Appended", "AsyncConsentClient", "ConsentClient", "Doubt", "KnownSubject"]
