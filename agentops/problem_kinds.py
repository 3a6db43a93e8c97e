"""The kinds of problem: the one table from what went wrong to a status, a code and a cure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions

from policy import errors as policy
from policy.api import errors as request_errors
from runs import errors as runs
from tools import errors as tools


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem: what a client may rely on."""

    status: int
    code: str
    title: str
    cure: str
    retry_after_ms: int | None = None


INTERNAL: Final = Kind(
    500,
    "internal",
    "Something of ours went wrong",
    "Nothing you sent is to blame. Report the request id. With the same Idempotency-Key the "
    "request may be sent again.",
)
UNAVAILABLE: Final = Kind(
    503,
    "unavailable",
    "The database cannot be reached",
    "Send the same request with the same Idempotency-Key again after the time given.",
    1000,
)
NOT_FOUND: Final = Kind(
    404,
    "not_found",
    "There is no such thing here",
    "Look at the address and the id. What belongs to another tenant is not found either.",
)
INVALID: Final = Kind(
    422,
    "invalid_request",
    "The request does not fit",
    "`errors` names each part that is wrong by a JSON Pointer into the body, or by /query/NAME.",
)
BAD_REQUEST: Final = Kind(
    400, "bad_request", "The request cannot be understood", "See `detail` for what is wrong."
)
FORBIDDEN: Final = Kind(
    403,
    "not_allowed",
    "You may not do this",
    "The principal behind the key lacks a role. A tenant admin can give it one.",
)
TOO_LARGE: Final = Kind(
    413, "body_too_large", "The body is too large", "Send less; `detail` says how much is read."
)

TABLE: Final[Mapping[type[Exception], Kind]] = {
    # the request itself
    request_errors.MalformedBody: Kind(
        400, "malformed_json", "The body is not JSON", "Send one JSON value in UTF-8."
    ),
    request_errors.UnusableJson: Kind(
        422,
        "unusable_json",
        "The body cannot be stored as it is",
        "Names stand once per object; text holds no U+0000 and no half surrogate pairs; nesting "
        "and numbers are bounded.",
    ),
    request_errors.BodyTooLarge: TOO_LARGE,
    RequestDataTooBig: TOO_LARGE,
    request_errors.InvalidFields: INVALID,
    request_errors.InvalidCursor: Kind(
        400, "invalid_cursor", "The cursor is not one of ours", "Begin again without a cursor."
    ),
    request_errors.KeyMissing: Kind(
        400,
        "key_missing",
        "An Idempotency-Key is needed",
        "Send the header Idempotency-Key with a text that is new for this action, and the same "
        "text again when you repeat the request.",
    ),
    request_errors.KeyMalformed: Kind(
        400,
        "key_malformed",
        "The Idempotency-Key cannot be used",
        "Use 1 to 255 visible ASCII characters; a UUID is a good choice.",
    ),
    request_errors.KeyReused: Kind(
        422,
        "key_reused",
        "The Idempotency-Key belongs to another request",
        "A key names one request. Take a new key for another body or address.",
    ),
    request_errors.KeyInUse: Kind(
        409,
        "key_in_use",
        "The first request with this key is still running",
        "Wait and send the same request again: its answer will be there.",
        250,
    ),
    request_errors.MatchMissing: Kind(
        428,
        "if_match_missing",
        "If-Match is needed",
        "Read the resource and send its ETag as If-Match, so that you decide on what you saw.",
    ),
    request_errors.MatchFailed: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    # policy
    policy.NotAllowed: FORBIDDEN,
    runs.UnknownPolicy: NOT_FOUND,
    runs.InvalidBacktest: Kind(
        422,
        "invalid_backtest",
        "The backtest cannot be made",
        "Give either `runs`, or `since` and `until`, of not too many runs.",
    ),
    policy.PolicyNotDraft: Kind(
        409,
        "not_a_draft",
        "The policy version was in force",
        "Versions that were in force stay as they are. POST its document to /policies for a new "
        "draft, and edit that.",
    ),
    policy.PolicyChanged: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    policy.ApprovalNotOpen: Kind(
        409,
        "approval_not_open",
        "This approval is closed",
        "It was decided, expired or withdrawn before. The first decision stands.",
    ),
    policy.ApprovalClaimed: Kind(
        409,
        "approval_claimed",
        "Somebody else has claimed this approval",
        "Ask whoever claimed it, or wait until the claim is over; an admin may release it.",
    ),
    policy.ApprovalChanged: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    policy.InvalidDecision: Kind(
        422,
        "invalid_decision",
        "The decision does not fit this approval",
        "A call that waits is answered approve or reject; an unknown outcome is answered "
        "happened, with its result, or not_happened. Rejecting needs a reason.",
    ),
    policy.InvalidRaise: Kind(
        422,
        "invalid_raise",
        "The raise cannot be made",
        "Raise a limited unit (cost, tokens, model_calls, tool_calls) by a positive amount.",
    ),
    policy.InvalidBudget: Kind(
        422, "invalid_budget", "The budget makes no sense", "`errors` names what is wrong."
    ),
    policy.BudgetChanged: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    policy.InvalidSetting: Kind(
        422, "invalid_setting", "The setting makes no sense", "See `detail` for what is possible."
    ),
    policy.InvalidLimit: Kind(
        422, "invalid_limit", "The rate limit makes no sense", "`errors` names what is wrong."
    ),
    policy.UnknownLimit: NOT_FOUND,
    policy.LimitChanged: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    policy.InvalidSubscription: Kind(
        422,
        "invalid_subscription",
        "The subscription makes no sense",
        "`errors` names what is wrong.",
    ),
    policy.UnknownSubscription: NOT_FOUND,
    policy.SubscriptionChanged: Kind(
        412, "changed", "It changed since you read it", "Read it again and decide on that."
    ),
    policy.UnknownNotice: NOT_FOUND,
    policy.NoticeUnderway: Kind(
        409,
        "notice_underway",
        "The notice is still being tried",
        "It is tried again by itself; only a sent or a dead one is sent again.",
    ),
    policy.UnknownPrincipal: NOT_FOUND,
    policy.InvalidReviewing: Kind(
        422, "invalid_reviewing", "This cannot be granted", "`errors` names what is wrong."
    ),
    policy.InvalidSwitch: Kind(
        422, "invalid_switch", "The breaker cannot be held so", "Give a reason with the position."
    ),
    policy.RequestsLimited: Kind(
        429, "rate_limited", "Too many requests", "Wait as long as Retry-After says.", 1000
    ),
    policy.InvalidPolicy: Kind(
        422, "invalid_policy", "The policy cannot be used", "See `detail` for the offending part."
    ),
    # tools
    tools.UnknownTool: NOT_FOUND,
    tools.InvalidTool: Kind(
        422, "invalid_tool", "The tool cannot be declared so", "See `detail` for what is wrong."
    ),
    # runs
    runs.UnknownAgent: Kind(
        404, "unknown_agent", "There is no such agent", "GET /api/v1/agents lists the agents."
    ),
    runs.QueueFull: Kind(
        429,
        "queue_full",
        "Too many of your runs wait to begin",
        "Nothing was started. Send the same request again as late as Retry-After says, or start "
        "fewer runs; an operator may raise the tenant's bound.",
        1000,
    ),
    runs.SystemFull: Kind(
        503,
        "system_full",
        "Too many runs wait to begin",
        "Nothing was started. Send the same request again as late as Retry-After says.",
        1000,
    ),
    runs.InvalidInput: Kind(
        422, "invalid_input", "The input does not fit the agent", "`errors` names what is wrong."
    ),
    runs.UnknownRun: NOT_FOUND,
    runs.UnknownApproval: NOT_FOUND,
    runs.UnknownBudget: NOT_FOUND,
    runs.UnknownBreaker: NOT_FOUND,
    runs.UnknownCheckpoint: NOT_FOUND,
    runs.UnknownFile: NOT_FOUND,
    runs.ArtifactLost: Kind(
        500,
        "artifact_lost",
        "What the file held is gone or damaged",
        "Its bytes are not what was written, so they are not given. Restore the storage of "
        "artifacts from a backup; the same content written again heals it, too.",
    ),
    runs.ArtifactsAway: Kind(
        503,
        "artifacts_unavailable",
        "The storage of artifacts cannot be reached",
        "Send the same request again after the time given.",
        1000,
    ),
    runs.HistoryGone: Kind(
        410,
        "history_gone",
        "This part of the run's history was removed",
        "The tenant keeps the history of ended runs for a number of days. The run itself, its "
        "newest checkpoint, its last event and the ledger without contents can still be read.",
    ),
    runs.UnknownMigration: NOT_FOUND,
    runs.Misfit: Kind(
        422,
        "misfit",
        "The versions do not fit",
        "Runs go from one version of an agent to another one that this code can run.",
    ),
    runs.StandingEffects: Kind(
        409,
        "irreversible",
        "What was done since then stays done",
        "Look at GET /runs/{id}/irreversible; to go back all the same, send accept_irreversible.",
    ),
    runs.IllegalMove: Kind(
        409,
        "illegal_move",
        "The run's state does not allow this",
        "Read the run: an ended run never moves again.",
    ),
    runs.NothingToCompensate: Kind(
        409,
        "nothing_to_compensate",
        "Nothing here can be compensated",
        "GET /runs/{id}/compensations says of each effect whether it can be, and why not.",
    ),
    runs.SignalRefused: Kind(
        409,
        "signal_refused",
        "This signal cannot be kept",
        "An id names one signal for ever: send something else under an id of its own.",
    ),
    # the framework
    exceptions.ValidationError: INVALID,
    exceptions.ParseError: BAD_REQUEST,
    exceptions.NotAuthenticated: Kind(
        401,
        "unauthenticated",
        "An API key is needed",
        "Send `Authorization: Bearer ao_...`. `manage.py apikey issue` makes one.",
    ),
    exceptions.AuthenticationFailed: Kind(
        401, "invalid_key", "This API key is not good", "Issue a new one; keys are shown once."
    ),
    exceptions.PermissionDenied: FORBIDDEN,
    PermissionDenied: FORBIDDEN,
    exceptions.NotFound: NOT_FOUND,
    Http404: NOT_FOUND,
    exceptions.MethodNotAllowed: Kind(
        405, "method_not_allowed", "This address has no such method", "See the header Allow."
    ),
    exceptions.NotAcceptable: Kind(
        406, "not_acceptable", "Only JSON is spoken here", "Accept application/json."
    ),
    exceptions.UnsupportedMediaType: Kind(
        415,
        "unsupported_media_type",
        "Only JSON is read here",
        "Send the body as `Content-Type: application/json`.",
    ),
    exceptions.Throttled: Kind(
        429, "rate_limited", "Too many requests", "Wait as long as Retry-After says."
    ),
    BadRequest: BAD_REQUEST,
    SuspiciousOperation: BAD_REQUEST,
    # the database
    OperationalError: UNAVAILABLE,
    InterfaceError: UNAVAILABLE,
    DataError: Kind(
        422, "unusable_value", "A value cannot be stored", "Numbers and texts have bounds."
    ),
}
KINDS: Final[Mapping[str, Kind]] = {k.code: k for k in (*TABLE.values(), INTERNAL)}


def kind_of(error: Exception) -> Kind:
    """Find the kind of an error by its class or the nearest base; unknown ones are ours."""
    for base in type(error).__mro__:
        if base in TABLE:
            return TABLE[base]
    return INTERNAL
