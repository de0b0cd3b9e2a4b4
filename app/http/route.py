"""The routes of the API: each has a scope, a bounded body, an `ETag` for reads and an idempotency key for writes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import partial, wraps
from inspect import iscoroutinefunction
from typing import Any, get_type_hints

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.params import Depends as Dependency
from fastapi.params import Security
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from app.db.unit_of_work import UnitOfWork
from app.http import API_PREFIX
from app.http.auth import caller_of, check_scope, require_scope
from app.http.body_limit import body_limit_of, read_body
from app.http.conditional import IF_NONE_MATCH, add_etag
from app.http.idempotency import IDEMPOTENCY_KEY, check_key, respond_once
from app.http.long_requests import SECONDS, does_take_long
from app.http.openapi import with_scope
from app.http.problems import BUSY, CONFLICT, REFUSED, UNSUPPORTED_MEDIA_TYPE, invalid_body

_UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "Nothing has changed since (`If-None-Match`)."}}
_CLIENT_CLOSED_REQUEST = 499  # the status that nginx logs; nobody receives it
_READ = "read"


class ApiRoute(APIRoute):
    """A route below `API_PREFIX`. It declares its scope: `dependencies=[READ]`, `[TRAIN]` or `[ADMIN]`.

    A route that is not a GET has a body and an idempotency key. It is executed once under that key, unless its scope is
    `read`: then it only computes.

    Scope, key and `ETag` are handled here and not by dependencies, and a model that the endpoint returns is serialized
    only once, since these would take longer than many endpoints.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self._scope, options["dependencies"] = _split_scope(endpoint, options.get("dependencies") or ())
        self._is_get = set(options.get("methods") or ["GET"]) == {"GET"}
        self._body_limit = body_limit_of(endpoint)
        header = IF_NONE_MATCH if self._is_get else IDEMPOTENCY_KEY
        self._takes_long = does_take_long(endpoint)
        extra = options.get("openapi_extra") or {}
        self._media_types = tuple(extra.get("requestBody", {}).get("content", ()))
        options["openapi_extra"] = with_scope(extra, self._scope, header)
        responses = {**REFUSED, **(_UNCHANGED if self._is_get else CONFLICT)}
        if self._media_types:
            responses |= UNSUPPORTED_MEDIA_TYPE
        if self._takes_long:
            responses |= BUSY
        options["responses"] = {**responses, **(options.get("responses") or {})}
        options["operation_id"] = endpoint.__name__
        status = options.get("status_code") or 200
        respond = _respond_async if iscoroutinefunction(endpoint) else _respond
        super().__init__(path, respond(endpoint, status), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        if self._takes_long:
            handler = _in_turn(handler)

        async def handle_get(request: Request) -> Response:
            check_scope(request, self._scope)
            if self.is_sse_stream and request.state.is_head:
                raise HTTPException(405)  # a stream has no end, so its headers do not come without it
            return add_etag(request, await handler(request))

        async def handle_with_body(request: Request) -> Response:
            try:
                request = await self._read_checked(request)
            except ClientDisconnect:
                return Response(status_code=_CLIENT_CLOSED_REQUEST)
            return await (handler(request) if self._scope == _READ else respond_once(request, handler))

        return handle_get if self._is_get else handle_with_body

    async def _read_checked(self, request: Request) -> Request:
        """Check the scope and the idempotency key, and return the request with its body."""
        check_scope(request, self._scope)
        check_key(request)
        return await read_body(request, self._body_limit, self._media_types)


class ComputeRoute(ApiRoute):
    """A route that only computes: `def endpoint(body: Model, request: Request) -> Model`; in a thread unless `async`.

    The body is parsed into the model and the endpoint is called; FastAPI only provides the spec. Its own handling of a
    request takes longer than a recommendation.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self._model: type[BaseModel] = get_type_hints(endpoint)["body"]
        self._compute = endpoint if iscoroutinefunction(endpoint) else partial(run_in_threadpool, endpoint)
        self.app = self._respond

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = await self._read_checked(Request(scope, receive))
        except ClientDisconnect:
            return
        try:
            result = await self._compute(await self._parse(request), request)
        except ClientDisconnect:
            return
        response = respond_with(result) if isinstance(result, BaseModel) else result
        await response(scope, receive, send)

    async def _parse(self, request: Request) -> BaseModel:
        try:
            return self._model.model_validate_json(await request.body())
        except ValidationError as error:
            raise invalid_body(error) from None


def include_api_router(parent: APIRouter, router: APIRouter) -> None:
    """Add the router's routes as they are, since FastAPI would match the routes of an included router twice.

    Raises: TypeError if one of its routes is not an `ApiRoute` below the prefix: it would need no key.
    """
    for route in router.routes:
        if not isinstance(route, ApiRoute) or not route.path.startswith(f"{API_PREFIX}/"):
            raise TypeError(f"{route} is not an ApiRoute below {API_PREFIX}.")
        parent.routes.append(route)


def respond_with(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(model.__pydantic_serializer__.to_json(model), status, headers, media_type="application/json")


def _in_turn(handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[..., Any]:
    """Wrap the handler so that few requests that take long run at once."""

    async def wait_and_handle(request: Request) -> Response:
        async with request.app.state.long_requests.place(caller_of(request).id, SECONDS):
            return await handler(request)

    return wait_and_handle


def _split_scope(endpoint: Callable[..., Any], dependencies: Iterable[Dependency]) -> tuple[str, list[Dependency]]:
    """Return the required scope, and the other dependencies.

    Raises: TypeError if no scope is declared, or several.
    """
    scopes: list[str] = []
    others: list[Dependency] = []
    for dependency in dependencies:
        if isinstance(dependency, Security) and dependency.dependency is require_scope:
            scopes += dependency.scopes or ()
        else:
            others.append(dependency)
    if len(scopes) != 1:
        raise TypeError(f"{endpoint.__name__} has to declare one scope: dependencies=[READ], [TRAIN] or [ADMIN].")
    return scopes[0], others


def _respond(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    """Wrap the endpoint so that its model is serialized in the same thread.

    The wrapper also releases the database before it returns: the steps that follow wait for a thread, and all threads
    may be waiting for the database.
    """

    @wraps(endpoint)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return _serialize(endpoint(*args, **kwargs), status, kwargs)
        finally:
            for argument in kwargs.values():
                if isinstance(argument, UnitOfWork):
                    argument.release()

    return call


def _respond_async(endpoint: Callable[..., Any], status: int) -> Callable[..., Any]:
    @wraps(endpoint)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return _serialize(await endpoint(*args, **kwargs), status, kwargs)

    return call


def _serialize(result: Any, status: int, arguments: dict[str, Any]) -> Any:
    """Return a model as a response, with the status and headers that the endpoint set on its `Response` argument."""
    if not isinstance(result, BaseModel):
        return result
    response = respond_with(result, status)
    for argument in arguments.values():
        if isinstance(argument, Response):
            response.status_code = argument.status_code or status
            response.raw_headers += argument.raw_headers
    return response
