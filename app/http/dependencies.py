"""The dependencies that FastAPI injects into the routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request

from app.core.settings import Settings
from app.db.unit_of_work import IdempotentRequest, UnitOfWork
from app.http.auth import caller_of
from app.scaling.predictors.published_tinynets import PREDICTOR
from app.services.auth.key_cache import KeyCache
from app.services.predictors.lookup_cache import CatalogCache


async def settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def write_session(request: Request) -> Iterator[UnitOfWork]:
    """Yield a transaction that may write; the trials that it enqueues are sent after its commit."""
    with open_write(request)(send=request.app.state.jobs.send) as unit:
        yield unit


def open_write(request: Request) -> Callable[..., UnitOfWork]:
    """Return a function that opens a transaction that may write, for routes that write only sometimes.

    It can be sent to another process. Transactions that enqueue trials are opened with `send=`.
    """
    state = request.app.state
    idempotent_request: IdempotentRequest | None = getattr(request.state, "idempotent_request", None)
    return partial(
        UnitOfWork,
        state.settings.database,
        once=True,
        caller=caller_of(request),
        quotas=state.settings.quotas,
        idempotent_request=idempotent_request,
    )


def open_read(request: Request) -> Callable[[], UnitOfWork]:
    """Return a function that opens a transaction that only reads, for routes that do more than read.

    It can be sent to another process.
    """
    return partial(UnitOfWork, request.app.state.settings.database, writes=False, caller=caller_of(request))


async def catalog(request: Request) -> CatalogCache:
    catalog: CatalogCache = request.app.state.catalog
    return catalog


async def key_cache(request: Request) -> KeyCache:
    keys: KeyCache = request.app.state.keys
    return keys


def read_session(request: Request) -> Iterator[UnitOfWork]:
    """Yield a transaction that only reads."""
    with open_read(request)() as unit:
        yield unit


async def request_id(request: Request) -> str:
    request_id: str = request.state.request_id
    return request_id


def example_path(example: str, **bounds: Any) -> Any:
    """Create a path parameter with an example for the playground; the option of `Path` itself is deprecated."""
    parameter = Path(**bounds)
    parameter.example = example
    return parameter


def example_query(example: Any, **bounds: Any) -> Any:
    """Create a query parameter with an example, which the playground sends."""
    parameter = Query(**bounds)
    parameter.example = example
    return parameter


WriteUow = Annotated[UnitOfWork, Depends(write_session, scope="function")]
CatalogDep = Annotated[CatalogCache, Depends(catalog)]
ReadUow = Annotated[UnitOfWork, Depends(read_session, scope="function")]
KeyCacheDep = Annotated[KeyCache, Depends(key_cache)]
SettingsDep = Annotated[Settings, Depends(settings)]
RequestId = Annotated[str, Depends(request_id)]
Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
IdQuery = Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$")]
_TYPED_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.\-:]{0,239}$"
IdPrefix = Annotated[str | None, Query(pattern=r"^[0-9a-f]{4,32}$", description="Only those whose id begins with it.")]
_NAME = r"^[a-z0-9][a-z0-9_.\-]{0,239}$"
ArchitectureName = Annotated[str, example_path("efficientnet_b0", pattern=_TYPED_NAME)]
DatasetName = Annotated[str, example_path("digits", pattern=_NAME)]
PredictorId = Annotated[str, example_path(PREDICTOR, pattern=_NAME)]
Limit = Annotated[int, Query(ge=1, le=200, description="Largest number of items.")]
Force = Annotated[bool, Query(description="Delete it although others depend on it.")]
DryRun = Annotated[
    bool,
    Query(description="Delete nothing, but respond with what depends on it, or why it cannot be deleted."),
]
Archived = Annotated[bool, Query(description="List the archived ones instead of the others.")]
IfMatch = Annotated[
    str | None, Header(max_length=1000, description="`ETag` of the resource when it was read; 412 if it has changed.")
]
Cursor = Annotated[str | None, Query(max_length=500, description="`next` of the previous page.")]
NameQuery = Annotated[str | None, Query(max_length=100, pattern=r"^[a-z0-9_.\-]+$")]
K = Annotated[int, Query(ge=1, le=1000, description="Largest number of networks.")]
