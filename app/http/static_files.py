"""Static files: compressed, and under an address with their version, so that browsers can cache them."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Scope

_REVALIDATED = "no-cache"
_CACHED = "public, max-age=31536000, immutable"
_TEXT = ("text/", "image/svg", "application/json", "application/javascript")
_VERSION = re.compile(r"v-[0-9a-f]{16}")


class VersionedFiles(StaticFiles):
    """The files of a folder as `/NAME` and `/VERSION/NAME`; `version` covers the contents of all.

    Browsers cache what is under the current version and revalidate everything else. The address of another version
    leads to the same files, since replicas of two versions may serve one page during an upgrade.
    """

    def __init__(self, folder: Path, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(directory=folder)
        self.version = _version_of(folder)
        self._headers = headers or {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        version, _, name = path.partition("/")
        response = await super().get_response(name if _VERSION.fullmatch(version) else path, scope)
        response.headers.update(self._headers)
        response.headers["Cache-Control"] = _CACHED if version == self.version else _REVALIDATED
        response.headers["Vary"] = "Accept-Encoding"
        request = Headers(scope=scope)
        if isinstance(response, FileResponse) and "range" not in request and accepts_gzip(request):
            return _compress(response, scope)
        return response


def accepts_gzip(request: Headers) -> bool:
    """Whether the client accepts gzip (RFC 9110, section 12.5.3)."""
    for item in request.get("accept-encoding", "").lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() in ("gzip", "*"):
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


def compressed_headers(content: bytes) -> dict[str, str]:
    """Return the headers of a compressed body."""
    return {"Content-Encoding": "gzip", "Content-Length": str(len(content)), "Vary": "Accept-Encoding"}


def _compress(response: FileResponse, scope: Scope) -> Response:
    if response.media_type is None or not response.media_type.startswith(_TEXT):
        return response
    tag = response.headers["etag"]
    content = _gzip_file(Path(response.path), tag)
    unchanged = {name: value for name, value in response.headers.items() if name != "accept-ranges"}
    # A weak tag: the bytes differ from those of the file.
    headers = {**unchanged, "etag": f"W/{tag}", **{k.lower(): v for k, v in compressed_headers(content).items()}}
    return Response(b"" if scope["method"] == "HEAD" else content, headers=headers)


@lru_cache(maxsize=256)
def _gzip_file(file: Path, tag: str) -> bytes:
    """Return the compressed file; `tag` changes with it."""
    return gzip.compress(file.read_bytes(), mtime=0)


def _version_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return f"v-{digest.hexdigest()[:16]}"
