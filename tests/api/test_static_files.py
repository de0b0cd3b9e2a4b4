"""Files of the pages are compressed, kept by browsers under their version, and preloaded for the landing page."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

MODULE = re.compile(r'<link rel="modulepreload" href="(dashboard/(v-[0-9a-f]{16})/[^"]+)">')


def test_landing_page_preloads_all_that_its_modules_import(client: TestClient) -> None:
    preloaded = {path for path, _ in MODULE.findall(client.get("/").text)}

    assert len(preloaded) > 10
    for path in preloaded:
        source = client.get(path).text
        for name in re.findall(r'^(?:import|export)\b[^"]*?from "\./([^"]+)";', source, re.MULTILINE):
            assert f"{path.rpartition('/')[0]}/{name}" in preloaded, f"{path} imports {name}"


def test_files_of_this_version_are_kept_and_others_revalidated(client: TestClient) -> None:
    path, version = MODULE.findall(client.get("/").text)[0]

    assert client.get(path).headers["cache-control"] == "public, max-age=31536000, immutable"
    for revalidated in (path.replace(f"{version}/", ""), path.replace(version, "v-0123456789abcdef")):
        answer = client.get(revalidated)
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.text == client.get(path).text
        again = client.get(revalidated, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert client.get(path.replace("main.js", "none.js")).status_code == 404


@pytest.mark.parametrize("path", ["/dashboard/main.js", "/dashboard/style.css", "/assets/docs.css", "/openapi.json"])
def test_texts_are_compressed_if_the_client_accepts_it(client: TestClient, path: str) -> None:
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    for accepted in ("gzip", "br, GZIP;q=0.5"):
        compressed = client.get(path, headers={"Accept-Encoding": accepted})
        assert compressed.headers["content-encoding"] == "gzip"
        assert compressed.content == plain.content
        assert int(compressed.headers["content-length"]) < len(plain.content)
    refused = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})

    assert "content-encoding" not in plain.headers | refused.headers
    assert plain.headers["vary"] == compressed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] != compressed.headers["etag"]


def test_spec_is_not_sent_again(client: TestClient) -> None:
    tag = client.get("/openapi.json").headers["etag"]

    assert client.get("/openapi.json", headers={"If-None-Match": tag}).status_code == 304
