"""What FastAPI injects into the routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import Depends, Path, Query, Request

from app.db.unit_of_work import Keyed, UnitOfWork
from app.services.catalogue import Catalogue
from app.settings import Settings


async def settings(request: Request) -> Settings:
    return request.app.state.settings


def work(request: Request) -> Iterator[UnitOfWork]:
    """A transaction that may write; what it enqueues is sent after its commit."""
    with writing(request)() as unit:
        yield unit


def writing(request: Request) -> Callable[[], UnitOfWork]:
    """Opens a transaction that may write, for routes that do so only now and then."""
    state = request.app.state
    keyed: Keyed | None = getattr(request.state, "keyed", None)
    return lambda: UnitOfWork(state.settings.database, state.jobs.send, once=True, keyed=keyed)


def looking(request: Request) -> Callable[[], UnitOfWork]:
    """Opens a transaction that only reads, for routes that do more than that."""
    return lambda: UnitOfWork(request.app.state.settings.database, writes=False)


async def catalogue(request: Request) -> Catalogue:
    return request.app.state.catalogue


def look(request: Request) -> Iterator[UnitOfWork]:
    """A transaction that only reads."""
    with UnitOfWork(request.app.state.settings.database, writes=False) as unit:
        yield unit


async def request_id(request: Request) -> str:
    return request.state.request_id


Work = Annotated[UnitOfWork, Depends(work, scope="function")]
Known = Annotated[Catalogue, Depends(catalogue)]
Look = Annotated[UnitOfWork, Depends(look, scope="function")]
Config = Annotated[Settings, Depends(settings)]
RequestId = Annotated[str, Depends(request_id)]
Id = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
IdQuery = Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$")]
NamePath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_.\-]{0,239}$")]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=500)]
NameQuery = Annotated[str | None, Query(max_length=100, pattern=r"^[a-z0-9_.\-]+$")]
K = Annotated[int, Query(ge=1, le=1000, description="At most so many networks.")]
