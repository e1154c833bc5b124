"""Wire types of the check API: OpenID AuthZEN Authorization API 1.0. No decisions.

What a gateway adds beyond these fields is ignored, as the specification asks.
"""

from enum import StrEnum
from typing import Annotated, Self

import msgspec

from consentry.decision import DatumResult, Decision, Prompt
from consentry.terms import Basis, Form, Reason, Status

EVALUATION_PATH = "/access/v1/evaluation"
EVALUATIONS_PATH = "/access/v1/evaluations"
SEARCH_SUBJECT_PATH = "/access/v1/search/subject"
SEARCH_RESOURCE_PATH = "/access/v1/search/resource"
SEARCH_ACTION_PATH = "/access/v1/search/action"
CONFIGURATION_PATH = "/.well-known/authzen-configuration"

Name = Annotated[str, msgspec.Meta(min_length=1)]


class Subject(msgspec.Struct, frozen=True):
    """Whose data it is."""

    type: Name
    id: Name


class Action(msgspec.Struct, frozen=True):
    """What is to be done: an operation, or a word that the policy's vocabulary maps to one."""

    name: Name


class Resource(msgspec.Struct, frozen=True):
    """What it is to be done for: a purpose."""

    type: Name
    id: Name


class CheckContext(msgspec.Struct, frozen=True, kw_only=True):
    """What else a check may say. A field that is left out, or null, says nothing."""

    data: str | tuple[str, ...] | None = None
    """data categories, one or more; the answer allows only if each is allowed"""
    recipient: str | None = None
    """to whom the data goes"""
    form: Form | None = None
    """identifiable where nothing is said"""
    active: bool | None = None
    """whether the function that collects is in use now"""
    device: str | None = None
    """whose system permissions count"""
    transfer_mechanism: str | None = None
    """by which an export is made"""
    joined_with_identity: bool | None = None
    min_position: str | None = None
    """the answer must have seen this position: e1.p3.o812"""
    scene: str | None = None
    """where the person would be asked: a refusal in another scene does not forbid it; bears on the prompt alone"""
    user_initiated: bool | None = None
    """the person does what needs the consent: then one may always ask; bears on the prompt alone"""


class EvaluationRequest(msgspec.Struct, frozen=True, kw_only=True):
    subject: Subject
    action: Action
    resource: Resource
    context: CheckContext | None = None


class AnswerContext(msgspec.Struct, frozen=True, kw_only=True):
    """Why, by which clause, on what evidence, and as of where in the log."""

    reason: Reason
    clause: str
    basis: Basis | None
    status: Status
    evidence: tuple[str, ...]
    policy_version: int | None
    position: str
    tightened_position: str | None
    staleness_ms: int | None
    engine_version: str
    expires_at: int | None
    obligations: tuple[str, ...]
    prompt: Prompt
    results: tuple[DatumResult, ...]
    warnings: tuple[str, ...] = ()
    """what was asked in words that are not ours: a misspelt field says nothing, and this says so"""


class EvaluationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    decision: bool
    context: AnswerContext


class Semantic(StrEnum):
    """How several questions of one request are gone through."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    evaluations_semantic: Semantic = Semantic.EXECUTE_ALL


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One of several: what it leaves out is as the request says for all."""

    subject: Subject | msgspec.UnsetType = msgspec.UNSET
    action: Action | msgspec.UnsetType = msgspec.UNSET
    resource: Resource | msgspec.UnsetType = msgspec.UNSET
    context: CheckContext | msgspec.UnsetType = msgspec.UNSET


class EvaluationsRequest(Question, frozen=True, kw_only=True):
    """Several questions at once. Without any, the request itself is the one question."""

    evaluations: tuple[Question, ...] = ()
    options: Options = Options()


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why one of several questions could not be asked."""

    status: int
    message: str


class FailureContext(msgspec.Struct, frozen=True, kw_only=True):
    error: Failure


class Undecided(msgspec.Struct, frozen=True, kw_only=True):
    """A DENY for a question that could not be asked."""

    decision: bool
    """false"""
    context: FailureContext


class EvaluationsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer for each question, in their order, as far as the semantic went."""

    evaluations: tuple[msgspec.Raw, ...]
    """JSON of an EvaluationAnswer each, or of an Undecided"""


class Kind(msgspec.Struct, frozen=True):
    """What is searched for: of which type. An id beside it is ignored."""

    type: Name


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the results is asked for."""

    token: str | None = None
    """`next_token` of the page before; left out, or empty: the first page"""
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """results at the most; a page may hold fewer, and still not be the last"""


class SubjectSearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """For whom may this be done?"""

    subject: Kind
    action: Action
    resource: Resource
    context: CheckContext | None = None
    page: Page | None = None


class ResourceSearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """For which purposes may this be done?"""

    subject: Subject
    action: Action
    resource: Kind
    context: CheckContext | None = None
    page: Page | None = None


class ActionSearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done for this purpose?"""

    subject: Subject
    resource: Resource
    context: CheckContext | None = None
    page: Page | None = None


class NextPage(msgspec.Struct, frozen=True, kw_only=True):
    next_token: str
    """for the next page; empty: this was the last"""
    count: int
    """results on this page"""


class SearchContext(msgspec.Struct, frozen=True, kw_only=True):
    policy_version: int | None
    warnings: tuple[str, ...] = ()
    """as in the answer to a check"""


class SubjectsFound(msgspec.Struct, frozen=True, kw_only=True):
    results: tuple[Subject, ...]
    page: NextPage
    context: SearchContext


class ResourcesFound(msgspec.Struct, frozen=True, kw_only=True):
    results: tuple[Resource, ...]
    page: NextPage
    context: SearchContext


class ActionsFound(msgspec.Struct, frozen=True, kw_only=True):
    results: tuple[Action, ...]
    page: NextPage
    context: SearchContext


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Where this policy decision point is asked what."""

    policy_decision_point: str
    access_evaluation_endpoint: str
    access_evaluations_endpoint: str
    search_subject_endpoint: str
    search_resource_endpoint: str
    search_action_endpoint: str

    @classmethod
    def at(cls, base: str) -> Self:
        """Of the decision point that is reached at this URL, which ends without a slash."""
        return cls(
            policy_decision_point=base,
            access_evaluation_endpoint=base + EVALUATION_PATH,
            access_evaluations_endpoint=base + EVALUATIONS_PATH,
            search_subject_endpoint=base + SEARCH_SUBJECT_PATH,
            search_resource_endpoint=base + SEARCH_RESOURCE_PATH,
            search_action_endpoint=base + SEARCH_ACTION_PATH,
        )


def answer_of(decision: Decision, warnings: tuple[str, ...] = ()) -> EvaluationAnswer:
    """The decision as it goes over the wire: positions are text there."""
    tightened = decision.tightened_position
    return EvaluationAnswer(
        decision=decision.allow,
        context=AnswerContext(
            reason=decision.reason,
            clause=decision.clause,
            basis=decision.basis,
            status=decision.status,
            evidence=decision.evidence,
            policy_version=decision.policy_version,
            position=str(decision.position),
            tightened_position=None if tightened is None else str(tightened),
            staleness_ms=decision.staleness_ms,
            engine_version=decision.engine_version,
            expires_at=decision.expires_at,
            obligations=decision.obligations,
            prompt=decision.prompt,
            results=decision.results,
            warnings=warnings,
        ),
    )
