"""What kinds of problem there are: a title, what each means, and what to do. Its page is at `/problems/{kind}`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """`status` is the usual one; `title` is the same in all documents of the kind."""

    status: int
    title: str
    meaning: str
    remedy: str


KINDS = {
    "validation": Kind(
        422,
        "The request is not valid",
        "A field, a parameter or the body as a whole is missing, malformed or out of its bounds. Nothing was done. "
        "`errors` names each place: `pointer` is a JSON pointer into the body, or a parameter's name.",
        "Change what `errors` points at. Every bound stands in the playground, /docs, and in /openapi.json.",
    ),
    "not-found": Kind(
        404,
        "There is no such resource",
        "Nothing has that name or id, or a trial's file is not there yet.",
        "Lists name what there is: GET /v1/architectures, /v1/studies, /v1/trials, /v1/predictors. A trial's files are "
        "there once it has completed.",
    ),
    "method-not-allowed": Kind(
        405,
        "The resource does not take this method",
        "There is such an address, and it takes other methods.",
        "The `Allow` header lists them.",
    ),
    "conflict": Kind(
        409,
        "The resource is not in a state for that",
        "What is asked for does not fit the state: a name is taken, a study was cancelled, a trial has ended, or a "
        "study has too few observations to be fitted.",
        "`detail` says what is in the way. Read the resource, and decide anew.",
    ),
    "idempotency-in-flight": Kind(
        409,
        "The same request is being answered",
        "A request with the same Idempotency-Key has come in and has no answer yet.",
        "Send it again after `Retry-After` seconds, with the same key: you get the first one's answer.",
    ),
    "idempotency-key-reused": Kind(
        422,
        "The key came with another request",
        "This Idempotency-Key was sent within the last 24 hours with another address or body. Nothing was done.",
        "Take a new key for each request, a random UUID say, and the same one only to send the same bytes again.",
    ),
    "precondition-failed": Kind(
        412,
        "The resource has changed",
        "`If-Match` names a representation that is no longer the present one. Nothing was done.",
        "Read the resource again, look whether you still want it, and send its new `ETag`.",
    ),
    "target-out-of-range": Kind(
        422,
        "The target cannot be reached",
        "No network of this architecture, by this rule and within these constraints, has the target's flops. `least` "
        "and `most` are the flops that can be reached at the r and d that the rule gives for this target; `nearest` is "
        "the network nearest to the target; `constraints` are those without any of which the target could be met.",
        "Take `nearest`, loosen a constraint that is named, or take another rule. By most rules another target has "
        "another r and d: what is reachable then may differ.",
    ),
    "unknown-dataset": Kind(
        422,
        "There is no such data set",
        "No built-in or registered data set has that name, or the folder to be registered is none below the data root.",
        "GET /v1/datasets lists what there is, and what is missing for those that are not ready.",
    ),
    "too-large": Kind(
        413,
        "The request is too large",
        "The body has more bytes than this address takes. Nothing was done.",
        "Send less at once: an import of observations may be split.",
    ),
    "range-not-satisfiable": Kind(
        416,
        "The range lies beyond the end",
        "The part of the file that `Range` asks for begins after its end.",
        "`Content-Range` says how long the file is; without `Range` the whole of it comes.",
    ),
    "headers-too-large": Kind(
        431,
        "The head of the request is too large",
        "The request's line and its headers have more bytes than the service takes. Nothing was done.",
        "Send fewer or shorter headers, such as cookies, and a shorter address.",
    ),
    "unauthorized": Kind(
        401,
        "A key is needed",
        "This service has API keys, and the request has none that is known.",
        "Send `Authorization: Bearer KEY`. Whoever runs the service makes keys: `rdw keys create`.",
    ),
    "forbidden": Kind(
        403,
        "The key does not reach so far",
        "The key is good, and its scope is too small for this operation; or, at a service without keys, a page of "
        "another site asks.",
        "Every operation says in the playground which scope it needs (`x-scope`). Whoever runs the service makes keys "
        "of a larger one: `rdw keys create --scope`.",
    ),
    "timeout": Kind(
        408,
        "The request took too long to arrive",
        "The body did not come within the time that the service waits for one. Nothing was done.",
        "Send it again; over a slow line send less at once.",
    ),
    "rate-limited": Kind(
        429,
        "Too many requests",
        "This key, or this address, has sent more than the service takes from one caller. Nothing was done.",
        "Send it again after `Retry-After` seconds. `RateLimit` says how much is left, `RateLimit-Policy` what is "
        "allowed.",
    ),
    "overloaded": Kind(
        503,
        "There is no room for more",
        "This process has as many event streams open as it takes.",
        "Ask again after `Retry-After` seconds, or read the trial now and then instead of following it.",
    ),
    "database-unavailable": Kind(
        503,
        "The database does not answer",
        "The service is up, and its database is away for the moment. Nothing is lost.",
        "Send the request again after `Retry-After` seconds; a write with an Idempotency-Key is not done twice.",
    ),
    "internal": Kind(
        500,
        "Something went wrong on our side",
        "An error that nobody foresaw. The service's log has it under the request's id, X-Request-ID.",
        "A write that was sent with an Idempotency-Key may be sent again. Tell who runs the service the request's id.",
    ),
}
