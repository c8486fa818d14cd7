"""What docs/serving-security.md and deploy/ say is so: limits, options, names of figures, headers."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lavida.cli.main import main
from lavida.serve import bounds, limits
from lavida.serve.metrics import Metrics
from lavida.serve.picture_worker import FORMATS
from lavida.serve.pictures import PictureDecoder
from lavida.serve.remote import RemoteLimits
from lavida.serve.security import HEADERS
from lavida.serve.service import Service
from lavida.serve.settings import Settings
from tests.tiny import tiny_model

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "serving-security.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())
UNIT = (ROOT / "deploy" / "lavida.service").read_text(encoding="utf-8")
CONTAINER = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")


@pytest.fixture
def options(capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["serve", "--help"]) == 0
    return capsys.readouterr().out


def test_the_limits_are_those_of_the_server() -> None:
    found, remote = Settings(), RemoteLimits(size=Settings().image_bytes)
    for line in (
        f"{limits.HEAD_BYTES >> 10} KiB while it is not whole; {limits.HEAD_SECONDS:g} s",
        f"{found.body >> 20} MiB, counted while it comes; {found.bodies >> 20} MiB of all requests together",
        f"{found.body_seconds:g} s, and a second more for each {limits._RATE:,} bytes",
        f"goes on after its answer | {limits.LINGER_SECONDS:g} s",
        f"connections | {found.connections}",
        f"nesting, values of a JSON text | {found.depth}, {found.values:,}",
        f"words of a dialogue | {found.text:,} letters",
        f"pictures of a request | {found.images}",
        f"a picture | {found.image_bytes >> 20} MiB, {found.image_pixels // 10**6} megapixels, one frame",
        f"decoding a picture | {found.image_seconds:g} s",
        f"pictures in use | {found.pixel_memory >> 30} GiB of pixels together",
        f"{bounds.LETTERS:,} letters, {bounds.TOKENS} tokens, its holes filled; {bounds.HOLES} holes of "
        f"{bounds.HOLE_TOKENS} tokens together",
        f"{remote.size >> 20} MiB and {remote.seconds:g} s over all of it; {remote.together} fetches at a time",
    ):
        assert line in WORDS, line
    assert remote.redirects == 3 and remote.ports == (80, 443) and f"client_max_body_size {found.body >> 20}m" in PAGE
    assert {one.upper() for one in re.findall(r"one frame; ([^|]+)\|", WORDS)[0].strip().split(", ")} == set(FORMATS)


def test_every_option_that_is_named_exists(options: str) -> None:
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert len(named) > 6 and [name for name in sorted(named) if f"{name} " not in options] == []


def test_every_figure_is_named_and_every_name_is_a_figure() -> None:
    settings, metrics = Settings(), Metrics()
    decoder = PictureDecoder(settings)
    metrics.watch_service(Service({"tiny": tiny_model()}, settings))
    metrics.watch_pictures(decoder)
    decoder.close()
    told = set(re.findall(r"^# TYPE (\S+)", metrics.render().decode(), re.MULTILINE))
    told = {name for name in told if not name.endswith("_created")}
    table = PAGE.split("## Figures")[1].split("## Behind")[0]
    assert set(re.findall(r"`((?:lavida|process)_[a-z_]+)", table)) == told


def test_every_header_is_named() -> None:
    text = WORDS.lower()
    assert [name for name in HEADERS if name not in text] == []


def test_the_unit_starts_a_server_that_exists(options: str) -> None:
    command = shlex.split(re.findall(r"^ExecStart=(.+)$", UNIT, re.MULTILINE)[0])
    assert command[0].endswith("/lavida") and command[1] == "serve"
    assert [word for word in command[2:] if word.startswith("--") and f"{word} " not in options] == []
    drain = int(command[command.index("--drain") + 1])
    stop = int(re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)[0])
    assert stop > drain, "systemd must not kill what is about to finish"
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes", "MemoryMax=", "IPAddressDeny=any"):
        assert f"\n{line}" in UNIT


def test_the_container_starts_a_server_that_exists(options: str) -> None:
    command = json.loads(re.findall(r"^CMD (\[.+\])$", CONTAINER, re.MULTILINE)[0])
    assert command[0] == "serve" and [w for w in command if w.startswith("--") and f"{w} " not in options] == []
    assert re.search(r"^USER \d+$", CONTAINER, re.MULTILINE), "not as root"
    for source in re.findall(r"^COPY ([^-].+) \S+$", CONTAINER, re.MULTILINE):
        assert all((ROOT / one).exists() for one in source.split()), source
