"""Tell which processes run below this one and where they listen (Linux), and wait for them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def below(pid: int) -> dict[int, str]:
    """The living processes that descend from one, with their command lines."""
    children: dict[int, list[int]] = {}
    titles = {}
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            titles[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:  # it has just ended
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(folder.name))
    found, left = {}, [pid]
    while left:
        for child in children.get(left.pop(), []):
            found[child] = titles[child]
            left.append(child)
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def listening(pids: set[int]) -> Iterator[str]:
    """The addresses at which processes listen, in the hexadecimal form of /proc/net."""
    sockets = set()
    for pid in pids:
        try:
            sockets |= {os.readlink(link) for link in (PROC / str(pid) / "fd").iterdir()}
        except OSError:
            continue
    for name in ("tcp", "tcp6"):
        for line in (PROC / "net" / name).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                yield fields[1].rpartition(":")[0]


def wait(until: Callable[[], Any], what: str, seconds: float = 240) -> Any:
    """The first true value of `until`."""
    end = time.monotonic() + seconds
    while not (value := until()):
        assert time.monotonic() < end, f"{what} took more than {seconds} s"
        time.sleep(0.02)
    return value


def ray_workers() -> list[int]:
    """The workers of a Ray cluster that this process has started."""
    return [pid for pid, title in below(os.getpid()).items() if title.startswith("ray::Map")]
