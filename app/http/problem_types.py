"""The types of problems: title, meaning and remedy. `/problems/{type}` explains each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ProblemType:
    """A type of problem; `title` is the same in all documents of the type."""

    status: int
    title: str
    meaning: str
    remedy: str


PROBLEM_TYPES = {
    "validation": ProblemType(
        422,
        "The request is invalid",
        "A field, a parameter or the body is missing, malformed or out of range. Nothing was changed. `errors` "
        "lists every invalid field: `pointer` is a JSON pointer into the body, or the name of a parameter.",
        "Correct the fields that `errors` lists. All bounds are documented in /docs and in /openapi.json.",
    ),
    "bad-request": ProblemType(
        400,
        "The request is malformed",
        "The target of the request is neither a path nor a URL, or the `Host` header names no host.",
        "Correct the URL. Most HTTP libraries build target and `Host` from it.",
    ),
    "not-found": ProblemType(
        404,
        "The resource was not found",
        "No resource has this name or id, or the trial has not produced this file yet.",
        "List the existing resources: GET /v1/architectures, /v1/studies, /v1/trials, /v1/predictors. The files "
        "of a trial exist once it has completed.",
    ),
    "method-not-allowed": ProblemType(
        405,
        "The method is not allowed",
        "The resource exists but does not support this method.",
        "Use a method that the `Allow` header lists.",
    ),
    "conflict": ProblemType(
        409,
        "The request conflicts with the state of the resource",
        "The state of the resource does not allow the request: for example, the name is taken, the study was "
        "cancelled, the trial has ended, or the study has too few observations for a fit.",
        "Read `detail` and the current state of the resource, then decide whether to send another request.",
    ),
    "space-exhausted": ProblemType(
        409,
        "The search space has no more networks",
        "Every network of the study's space that the sampler finds has been suggested, trained or observed already.",
        "Report what is still open, or create a study with a wider space: `space` has ranges of r, d, w and of flops.",
    ),
    "idempotency-in-flight": ProblemType(
        409,
        "The same request is being processed",
        "A request with the same Idempotency-Key was received and has no response yet.",
        "Retry after `Retry-After` seconds with the same key to get the response of the first request.",
    ),
    "idempotency-key-reused": ProblemType(
        422,
        "The idempotency key was used for another request",
        "This Idempotency-Key was used within the last 24 hours for another path or body. Nothing was changed.",
        "Use a new key, such as a random UUID, for each request. Reuse a key only to retry the identical request.",
    ),
    "precondition-failed": ProblemType(
        412,
        "The resource has changed",
        "`If-Match` does not match the current `ETag` of the resource. Nothing was changed.",
        "Read the resource again and send the request with its new `ETag`.",
    ),
    "target-out-of-range": ProblemType(
        422,
        "The target cannot be reached",
        "No network of this architecture meets the target by this rule and within these constraints. `reachable` "
        "says what is reachable at the r and d of the rule for this target, in its unit (for FLOPs also `min_flops` "
        "and `max_flops`), `nearest` is the nearest network, and `constraints` lists the constraints of which dropping "
        "any one makes the target reachable.",
        "Use `nearest`, relax a constraint in `constraints`, or use another rule. Most rules give other r and d "
        "for another target, and so another range.",
    ),
    "unknown-dataset": ProblemType(
        422,
        "The data set does not exist",
        "No built-in or registered data set has this name, or the folder to register is not a data set below the "
        "data root.",
        "GET /v1/datasets lists the data sets, and for each why it is not ready.",
    ),
    "too-large": ProblemType(
        413,
        "The request is too large",
        "The body exceeds the size limit of this path. Nothing was changed.",
        "Send less data per request, for example by splitting an import of observations.",
    ),
    "unsupported-media-type": ProblemType(
        415,
        "The media type of the body is not supported",
        "The request has a body, but no `Content-Type`, or one that this path does not accept. Nothing was changed.",
        "Send the header `Content-Type: application/json` with JSON. The `Accept` header lists what is accepted.",
    ),
    "unauthorized": ProblemType(
        401,
        "A valid API key is required",
        "This service requires an API key, and the request has none or an invalid one.",
        "Send `Authorization: Bearer KEY`. The operator of the service creates keys with `rdw keys create`.",
    ),
    "forbidden": ProblemType(
        403,
        "The API key does not allow this operation",
        "The scope of the API key does not include this operation, the resource belongs to another key, or a web page "
        "of another site sent the request to a service without keys.",
        "/docs shows the required scope of every operation (`x-scope`), and `owner` in a resource the key that may "
        "change it. The operator of the service creates keys with `rdw keys create --scope`.",
    ),
    "quota-exceeded": ProblemType(
        403,
        "The API key has used up its quota",
        "With this request the key would have more queued trials, studies, observations or stored bytes than its "
        "quota allows. Nothing was changed. `quota` has the limit, and what the key would use.",
        "Read `detail`: wait for trials, cancel some, or ask the operator of the service for a higher quota.",
    ),
    "rate-limited": ProblemType(
        429,
        "Too many requests",
        "This API key or address has exceeded its rate limit. Nothing was changed.",
        "Retry after `Retry-After` seconds. `RateLimit` has the remaining requests, `RateLimit-Policy` the limit. Each "
        "10 ms of a search that takes long count as one more request.",
    ),
    "busy": ProblemType(
        503,
        "Too many computations wait",
        "As many requests that take long wait for a processor as may wait. Quick requests are not affected. Nothing "
        "was changed.",
        "Retry after `Retry-After` seconds. Fewer targets, a wider tolerance or a smaller movement take less time.",
    ),
    "database-unavailable": ProblemType(
        503,
        "The database is unavailable",
        "The service cannot reach its database at the moment. No data is lost.",
        "Retry after `Retry-After` seconds. A write with an Idempotency-Key is not applied twice.",
    ),
    "internal": ProblemType(
        500,
        "Internal error",
        "An unexpected error occurred. The log of the service has it under `X-Request-ID`.",
        "Retry a write only with its Idempotency-Key. Report the `X-Request-ID` to the operator of the service.",
    ),
}
