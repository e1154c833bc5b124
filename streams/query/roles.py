"""Who may ask what: route x role, as data. What the table does not name, nobody may."""

from collections.abc import Mapping

from consentry.intake import Caller, CallerRole
from streams.access import Access
from streams.query.body import Headers, header
from streams.query.problems import Refusal

EVERY_ROLE = frozenset(CallerRole)
NOBODY: frozenset[CallerRole] = frozenset()

# These hold no subject, and are asked by machines that have no token.
OPEN_ROUTES = frozenset(
    {
        "GET /livez",
        "GET /readyz",
        "GET /metrics",
        "GET /openapi.json",
        "GET /docs",
        "GET /.well-known/authzen-configuration",
    }
)

ROLES_OF_ROUTE: Mapping[str, frozenset[CallerRole]] = {
    "POST /access/v1/evaluation": frozenset({CallerRole.ASKER}),
    "POST /access/v1/evaluations": frozenset({CallerRole.ASKER}),
    "POST /access/v1/search/subject": frozenset({CallerRole.ASKER}),
    "POST /access/v1/search/resource": frozenset({CallerRole.ASKER}),
    "POST /access/v1/search/action": frozenset({CallerRole.ASKER}),
    # which of them may send which event is intake's table
    "POST /v1/events": frozenset({CallerRole.PRODUCER, CallerRole.GUARDIAN_VERIFIER, CallerRole.OPERATOR}),
    "GET /v1/subjects/{subject}": frozenset({CallerRole.ASKER, CallerRole.AUDITOR}),
    "GET /v1/subjects/{subject}/history": frozenset({CallerRole.AUDITOR}),
    "GET /v1/subjects/{subject}/prompt": frozenset({CallerRole.ASKER}),
    "GET /v1/watch": frozenset({CallerRole.ASKER, CallerRole.AUDITOR}),
    "GET /v1/policies": EVERY_ROLE,
    "GET /v1/policies/{version}": EVERY_ROLE,
    "GET /v1/policies/{former}..{version}": EVERY_ROLE,
}


def authorise(route: str, headers: Headers, access: Access) -> Caller:
    """Who asks. Raises Refusal: 401 without a token that we know, 403 without a role that may."""
    caller = access.caller_of(_bearer_token(headers))
    if caller is None:
        raise Refusal(
            "no bearer token that is known here",
            status=401,
            code="UNAUTHENTICATED",
            remedy="send `Authorization: Bearer <token>`; `consentry token create` makes one",
            headers=(("www-authenticate", 'Bearer realm="consentry"'),),
        )
    allowed = ROLES_OF_ROUTE.get(route, NOBODY)
    if caller.roles.isdisjoint(allowed):
        raise Refusal(
            f"{caller.name} has no role that may {route}",
            status=403,
            code="FORBIDDEN",
            remedy=f"one of: {', '.join(sorted(allowed))}" if allowed else "nobody may",
        )
    return caller


def _bearer_token(headers: Headers) -> str | None:
    value = header(headers, b"authorization")
    if value is None:
        return None
    scheme, _, token = value.partition(b" ")
    return token.strip().decode("latin-1") if scheme.lower() == b"bearer" else None
