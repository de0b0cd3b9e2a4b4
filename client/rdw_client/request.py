"""Requests to the API and how their responses are parsed. Nothing is sent here; see `async_transport`."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar
from urllib.parse import quote

import httpx

from rdw_client.encoding import JsonObject, encode
from rdw_client.errors import NotUnderstood
from rdw_client.models import Dependents, Json, Model, Page, Predictor

T = TypeVar("T")
M = TypeVar("M", bound=Model)

CSV = "text/csv"
PAGE_SIZE = 200


class HasId(Protocol):
    """A trial, a study or a predictor: it is accepted wherever an id is."""

    @property
    def id(self) -> str: ...


Ref = str | HasId
Kind = Literal["study", "trial", "architecture", "dataset", "predictor"]

_COLLECTIONS: dict[Kind | Literal["key"], str] = {
    "study": "studies",
    "trial": "trials",
    "architecture": "architectures",
    "dataset": "datasets",
    "predictor": "predictors",
    "key": "keys",
}


@dataclass(frozen=True)
class Request(Generic[T]):
    """A request and the parser of its response.

    `accepted` lists the status codes outside 2xx whose response is parsed rather than raised as an error.
    """

    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    accepted: tuple[int, ...] = ()

    def to_httpx(self) -> dict[str, Any]:
        """Return the arguments for httpx; a retry sends the same idempotency key."""
        return {
            "method": self.method,
            "url": self.path,
            "params": dict(self.params),
            "content": self.content,
            "headers": dict(self.headers),
        }

    def next_page(self, cursor: str) -> Request[T]:
        return replace(self, params={**self.params, "cursor": cursor})

    def with_header(self, name: str, value: str) -> Request[T]:
        return replace(self, headers={**self.headers, name: value})


def get(path: str, model: type[M], **query: Any) -> Request[M]:
    """GET a resource; parameters that are None are left to the server's defaults."""
    return Request("GET", path, _parser_of(model), params=_encode_values(query))


def get_list(path: str, model: type[M], **query: Any) -> Request[tuple[M, ...]]:
    """GET a list that is not paginated."""
    return Request("GET", path, _list_parser_of(model), params=_encode_values(query))


def get_page(path: str, model: type[M], **filters: Any) -> Request[Page[M]]:
    """GET the first page of a list."""
    return Request("GET", path, _page_parser_of(model), params={**_encode_values(filters), "limit": PAGE_SIZE})


def get_text(path: str, media_type: str) -> Request[str]:
    return Request("GET", path, lambda response: response.text, headers={"Accept": media_type})


def get_bytes(path: str, **query: Any) -> Request[bytes]:
    return Request("GET", path, lambda response: response.content, params=_encode_values(query))


def get_stream(path: str, headers: Mapping[str, str] | None = None, **query: Any) -> Request[None]:
    """GET a body that is read as it arrives."""
    return Request("GET", path, lambda response: None, params=_encode_values(query), headers=headers or {})


def post(path: str, model: type[M], body: JsonObject | None = None) -> Request[M]:
    """POST a JSON body; members that are None are left to the server's defaults."""
    return _post(path, _parser_of(model), body)


def post_for_list(path: str, model: type[M], body: JsonObject) -> Request[tuple[M, ...]]:
    """POST a JSON body; the response is a list."""
    return _post(path, _list_parser_of(model), body)


def post_for_member(path: str, member: str, model: type[M], body: JsonObject) -> Request[M]:
    """POST a JSON body; parse one member of the response."""

    def parse(response: httpx.Response) -> M:
        parsed = _json(response)
        return model.from_json(parsed.get(member) if isinstance(parsed, dict) else None)

    return _post(path, parse, body)


def post_csv(path: str, model: type[M], table: str | bytes | Path, **query: Any) -> Request[M]:
    """POST a table, or the file with this path."""
    content = table.read_bytes() if isinstance(table, Path) else table.encode() if isinstance(table, str) else table
    request = replace(_post(path, _parser_of(model)), content=content, params=_encode_values(query))
    return request.with_header("Content-Type", CSV)


def with_etag(request: Request[Predictor]) -> Request[Predictor]:
    """Parse the `ETag` header as well."""

    def parse(response: httpx.Response) -> Predictor:
        return replace(request.parse(response), etag=response.headers.get("ETag"))

    return replace(request, parse=parse)


def target(precision: str | None, **amounts: float | None) -> Json:
    """Return the target of a unit; only bytes have a precision."""
    return _drop_none({**amounts, "precision": precision if _in_bytes(amounts) else None})


def targets(precision: str | None = None, **amounts: Sequence[float]) -> list[Json]:
    """Return a target for each amount of each unit."""
    return [target(precision, **{unit: amount}) for unit in amounts for amount in amounts[unit]]


def _in_bytes(amounts: Mapping[str, float | None]) -> bool:
    return amounts.get("weights_bytes") is not None or amounts.get("activation_bytes") is not None


def resource_path(kind: Kind | Literal["key"], ref: Ref, *more: str) -> str:
    """Return the path of a resource, or of what is below it; each part is quoted."""
    return "/".join((f"/v1/{_COLLECTIONS[kind]}", *(quote(part, safe="") for part in (_id(ref), *more))))


def id_or_none(ref: Ref | None) -> str | None:
    return None if ref is None else _id(ref)


def _id(ref: Ref) -> str:
    return ref if isinstance(ref, str) else ref.id


def patch(path: str, model: type[M], body: JsonObject) -> Request[M]:
    """PATCH a resource; members that are None stay as they are."""
    return replace(post(path, model, body), method="PATCH")


def delete(path: str, **query: Any) -> Request[None]:
    """DELETE a resource."""
    return replace(_post(path, lambda response: None), method="DELETE", params=_encode_values(query))


def dependents_of(kind: Kind, ref: Ref) -> Request[Dependents]:
    """Ask what a DELETE would find, which is not carried out."""
    params = _encode_values({"dry_run": True})
    return replace(_post(resource_path(kind, ref), _parser_of(Dependents)), method="DELETE", params=params)


def _post(path: str, parse: Callable[[httpx.Response], T], body: JsonObject | None = None) -> Request[T]:
    """Create a POST with an idempotency key: the server executes it once, however often it is sent."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    if body is None:
        return Request("POST", path, parse, headers=headers)
    content = json.dumps(_encode_values(body), allow_nan=False).encode()
    return Request("POST", path, parse, content=content, headers={**headers, "Content-Type": "application/json"})


def _encode_values(values: JsonObject) -> Json:
    """Return the values that are not None, as JSON.

    Raises: ValueError for a number that is not finite; TypeError for a value that JSON cannot represent.
    """
    return _drop_none(encode(values))


def _drop_none(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise NotUnderstood(f"The response from {response.url} is not JSON. Does RDW_URL point at rdw?") from error


def _parser_of(model: type[M]) -> Callable[[httpx.Response], M]:
    return lambda response: model.from_json(_json(response))


def _list_parser_of(model: type[M]) -> Callable[[httpx.Response], tuple[M, ...]]:
    parse_page = _page_parser_of(model)
    return lambda response: parse_page(response).items


def _page_parser_of(model: type[M]) -> Callable[[httpx.Response], Page[M]]:
    def parse(response: httpx.Response) -> Page[M]:
        body = _json(response)
        if not isinstance(body, dict) or not isinstance(body.get("items"), list):
            raise NotUnderstood(f"The response from {response.url} is not a list. Does RDW_URL point at rdw?")
        return Page(tuple(model.from_json(item) for item in body["items"]), body.get("next"))

    return parse
