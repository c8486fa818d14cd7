"""The output of a batch job: JSON lines, appended one at a time, and beside them the settings of the job.

The lines themselves tell what is done. A line holds the place of its input (`index`), is written by one call and counts
when its end is there, so a job that is killed at any moment leaves whole lines and at most one torn one, which is cut
off when the job goes on. `OUT.job.json` holds the settings, and one process at a time may hold it open.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from lavida.errors import RequestError

SYNC = 5.0  # seconds of lines that a power cut may cost
_AFRESH = "take another OUT, or --restart to write this one anew"


class Marks:
    """Hold a mark for each of many places, a bit each."""

    def __init__(self, count: int) -> None:
        self.count, self.marked = count, 0
        self._bits = bytearray((count + 7) // 8)

    def __contains__(self, place: int) -> bool:
        return bool(self._bits[place >> 3] & 1 << (place & 7))

    def add(self, place: int) -> None:
        """Mark a place."""
        if place not in self:
            self._bits[place >> 3] |= 1 << (place & 7)
            self.marked += 1

    def missing(self) -> Iterator[int]:
        """Yield the places that have no mark, in order; those marked meanwhile are left out."""
        return (place for place in range(self.count) if place not in self)


class Output:
    """Append lines to a file, each place once; go on with a file that the same job has begun.

    Args:
        path: The file; it is made if it is missing.
        settings: What decides the lines, as JSON has it.
        count: How many inputs there are.
        restart: Drop what the file holds.
        retry: Drop the lines with an error, so that their inputs are answered again.

    Raises:
        RequestError: The file is another job's, damaged, or being written by another process.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], count: int, *, restart: bool = False, retry: bool = False
    ) -> None:
        self.path, self.job = path, path.with_name(path.name + ".job.json")
        self.done, self.failed, self.cut = Marks(count), 0, 0
        if path.is_dir():
            raise RequestError(f"{path} is a folder; name a file to write to")
        if not path.parent.is_dir():
            raise RequestError(f"{path.parent}: no such folder; make it first")
        known = self.job.exists()
        self._lock = os.open(self.job, os.O_RDWR | os.O_CREAT, 0o644)
        locked = False
        try:
            _lock(self._lock, path)
            locked = True
            held = path.stat().st_size if path.exists() else 0
            if restart and held:
                self._drop(known)
                held = 0
            if held:
                self._check(settings)
                self._read()
            else:
                self._begin(settings)
            if retry and self.failed:
                self._drop_failed()
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except BaseException:
            if locked and not known:
                self.job.unlink(missing_ok=True)
            os.close(self._lock)
            raise
        self._size, self._synced = os.fstat(self._file).st_size, time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *rest: object) -> None:
        self.close()

    def append(self, line: Mapping[str, Any]) -> bool:
        """Write the line of a place; return False, and write nothing, if that has one already."""
        if line["index"] in self.done:
            return False
        data = _bytes(line)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self._size)  # of a full disk; nothing half written stays
            raise
        self._size += len(data)
        self.done.add(line["index"])
        self.failed += line["error"] is not None
        if time.monotonic() > self._synced + SYNC:
            os.fsync(self._file)
            self._synced = time.monotonic()
        return True

    def close(self) -> None:
        """Put the lines on disk and let others write."""
        os.fsync(self._file)
        os.close(self._file)
        os.close(self._lock)

    def _begin(self, settings: Mapping[str, Any]) -> None:
        """Write the settings, before the first line: without lines they may be any."""
        data = json.dumps(settings, indent=1, ensure_ascii=True).encode() + b"\n"
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, data, 0)
        os.fsync(self._lock)

    def _check(self, settings: Mapping[str, Any]) -> None:
        """Raise RequestError unless the file was begun with these settings."""
        try:
            begun = json.loads(os.pread(self._lock, os.fstat(self._lock).st_size, 0))
            before, now = dict(begun), json.loads(json.dumps(settings))
        except (ValueError, TypeError):
            raise RequestError(f"{self.path} was not begun by a batch job; {_AFRESH.partition(',')[0]}") from None
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if changed:
            told = "; ".join(
                f"{name} was {_short(before.get(name))} and is {_short(now.get(name))}" for name in changed
            )
            raise RequestError(f"{self.path} was begun as another job: {told}; give the same, {_AFRESH}")

    def _read(self) -> None:
        """Mark what the file holds, and cut off a torn line at its end."""
        size = 0
        with self.path.open("r+b") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    self.cut = len(line)
                    file.truncate(size)
                    break
                size += len(line)
                self._mark(line, number)

    def _mark(self, line: bytes, number: int) -> None:
        try:
            found = json.loads(line)
            place, error = found["index"], found["error"]
            known = isinstance(place, int) and 0 <= place < self.done.count and place not in self.done
        except (ValueError, TypeError, KeyError):
            known = False
        if not known:
            raise RequestError(f"{self.path}: line {number} is none of this job's, or comes twice; {_AFRESH}")
        self.done.add(place)
        self.failed += error is not None

    def _drop(self, known: bool) -> None:
        """Drop all lines, if they are a batch job's."""
        if not known:
            raise RequestError(f"{self.path} was not begun by a batch job, and is not overwritten; take another OUT")
        os.truncate(self.path, 0)

    def _drop_failed(self) -> None:
        """Write the file anew without the lines that hold an error; killed meanwhile, it is as before."""
        kept, draft = Marks(self.done.count), self.path.with_name(f".{self.path.name}.draft")
        with self.path.open("rb") as file, draft.open("wb") as out:
            for line in file:
                found = json.loads(line)
                if found["error"] is None:
                    kept.add(found["index"])
                    out.write(line)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(self.path)
        self.done, self.failed = kept, 0


def _lock(descriptor: int, path: Path) -> None:
    """Take the lock of a job, which ends with this process however it ends; some file systems have none."""
    with suppress(ImportError, OSError):  # ImportError: Windows
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestError(f"another process is writing {path}; wait for it, or take another OUT") from None


def _bytes(line: Mapping[str, Any]) -> bytes:
    """Return a line in UTF-8; in ASCII if a name holds bytes that are no UTF-8."""
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(line).encode() + b"\n"


def _short(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
