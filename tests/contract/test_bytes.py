"""Any bytes sent to a route get a response; invalid ones get a problem and never a 500."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.contract.spec import committed
from tests.contract.test_schema import KEY, app_on_a_new_database
from tests.support import example_count

SPEC = committed()
POSTS = {
    operation["operationId"]: (path, operation)
    for path, operations in SPEC["paths"].items()
    for method, operation in operations.items()
    if method == "post"
}
MEDIA = ("application/json", "text/csv", "application/json; charset=utf-16", "multipart/form-data", "", "\xff/\xfe")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    app = app_on_a_new_database()
    yield TestClient(app, raise_server_exceptions=False, headers={"Authorization": f"Bearer {KEY}"})


@st.composite
def mangled(draw: st.DrawFn, example: bytes) -> bytes:
    """The example with some bytes cut out, put in or turned."""
    body = bytearray(example)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(len(body), start + 12)))
        body[start:end] = draw(st.binary(max_size=12))
    return bytes(body)


def example(operation: dict[str, Any]) -> bytes:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for one in content.get("examples", {}).values():
            return json.dumps(one["value"]).encode()
    return b"{}"


@pytest.mark.parametrize("name", sorted(POSTS))
def test_mangled_bodies_are_answered(client: TestClient, name: str) -> None:
    path, operation = POSTS[name]
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            value = parameter.get("example", "1" if parameter["schema"].get("type") == "integer" else "0" * 32)
            path = path.replace(f"{{{parameter['name']}}}", str(value))

    @hypothesis_settings(max_examples=example_count(20))
    @given(mangled(example(operation)), st.sampled_from(MEDIA), st.binary(max_size=20))
    def send(body: bytes, media: str, key: bytes) -> None:
        headers = [(b"Content-Type", media.encode("latin-1")), (b"Idempotency-Key", key.hex().encode() or b"-")]
        answer = client.post(path, content=body, headers=headers)

        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == answer.status_code

    send()


@pytest.mark.parametrize("path", sorted(SPEC["paths"]))
def test_mangled_addresses_are_answered(client: TestClient, path: str) -> None:
    @hypothesis_settings(max_examples=example_count(12))
    @given(mangled(path.encode()), st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"]))
    def send(mangled_path: bytes, method: str) -> None:
        assume((method, mangled_path.strip(b"/")) != ("GET", b"v1/events"))  # a stream of an hour
        quoted = "".join(chr(b) if 0x21 <= b < 0x7F and chr(b) not in "#?\\" else f"%{b:02x}" for b in mangled_path)
        answer = client.request(method, "/" + quoted.lstrip("/"), follow_redirects=False)

        assert answer.status_code < 500 or answer.json().get("ready") is False, answer.text

    send()
