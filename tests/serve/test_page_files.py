import re

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from fastapi.testclient import TestClient

from lavida.serve import page


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(page.router())
    return TestClient(app)


def test_the_index_is_served_with_a_policy_that_allows_nothing_inline(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"<style|<script>|\sstyle=|\son\w+=|javascript:", answer.text)


def test_every_file_that_the_page_names_is_served_from_here(client):
    names = set(re.findall(r'(?:src|href)="([^"#]+)"', client.get("/").text))
    assert names and all(re.fullmatch(r"page/[\w.-]+", name) for name in names)
    for name in names:
        assert client.get(f"/{name}").status_code == 200, name


def test_every_module_that_a_module_imports_is_there_and_nothing_comes_from_outside(client):
    for name, asset in page.read_assets().items():
        text = asset.body.decode("utf-8") if asset.kind.startswith("text/") else ""
        assert not re.search(r"https?://(?!www\.w3\.org/)|//cdn|eval\(|innerHTML|new Function", text), name
        for imported in re.findall(r'from "([^"]+)"', text) if name.endswith(".js") else ():
            assert (
                client.get(f"/page/{imported.removeprefix('./')}").headers["content-type"].startswith("text/javascript")
            )


@pytest.mark.parametrize(
    "path",
    ["/page/../page.py", "/page/%2e%2e/page.py", "/page/..%2fpage.py", "/page/....//page.py", "/page//etc/passwd",
     "/page/%00", "/page/page.py", "/page/", "/page/app.js/..", "/page/APP.JS"],
)  # fmt: skip
def test_no_other_file_is_reached(client, path):
    assert client.get(path).status_code == 404


def test_a_file_that_the_browser_has_is_not_sent_again(client):
    first = client.get("/page/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/page/app.js", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert again.status_code == 304 and again.content == b""
    assert client.get("/page/app.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_the_files_are_few_and_short():
    for name, asset in page.read_assets().items():
        if name.endswith((".js", ".css", ".html")):
            assert asset.body.count(b"\n") <= 420, name
    assert sum(len(asset.body) for asset in page.read_assets().values()) < 250_000
