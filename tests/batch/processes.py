"""Tell which processes run below this one and where they listen (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

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
