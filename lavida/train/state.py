"""Checkpoints of a run: the newest few, each whole or not there, written while training goes on.

A checkpoint is a folder `step-N` of safetensors files, written and read by torch.distributed.checkpoint, by any number
of processes. It is filled under a hidden name and renamed once all of it is on disk, so that a process may be killed at
any moment; a checksum of each file is kept.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint import CheckpointException, HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.tensor import DTensor

from lavida.errors import DataError
from lavida.train.distributed import gather_objects, rank, world

OWN = "own"  # key of the part of the state that differs between processes
PLAIN = "plain"  # tensor of bytes: all of the state that is no tensor
FILES = "files.json"  # name, size and checksum of each file, written last
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, SafetensorError, CheckpointException, RuntimeError)
PART_BYTES, PARTS = 15_000_000, 64  # files of 15 MB or one tensor; larger ones rather than more than 64 a process


class Checkpoints:
    """Manage the checkpoints `folder/step-N` of steps N, of which the `keep` newest are kept.

    Every process calls every method. `damaged` names those that the last `load` could not use, with the reasons.
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._group: dist.ProcessGroup | None = None
        self.damaged: list[str] = []
        self.reading = 0  # the step of the checkpoint that `load` reads

    def save(self, step: int, state: Mapping[str, Any], *, wait: bool = False) -> None:
        """Copy the state now and write it in the background, after the one before is finished.

        `state` nests dicts, lists and tuples of tensors and plain values. All processes give the same, but for their
        parts of sharded tensors and for `state["own"]`. Raises DataError if a checkpoint cannot be written.
        """
        self.wait()
        tensors = _flat(state)
        draft = self.folder / f".step-{step}"
        writer = HuggingFaceStorageWriter(str(draft), fqn_to_index_mapping=_parts(tensors), save_distributed=True)
        self._writing = self._writer.submit(self._write, step, draft, writer, writer.stage(tensors), self._processes())
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the last `save` is on disk. Raises DataError if it could not be written."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.result()
        except (OSError, CheckpointException) as error:
            raise DataError(f"cannot write a checkpoint to {self.folder} ({_reason(error)}); free some space") from None

    def latest(self) -> int | None:
        """Return the newest step of which no file is missing or cut, None before the first.

        Raises:
            DataError: There are checkpoints, and all of them are damaged.
        """
        steps = self._steps()
        for step in steps:
            path = self._path(step)
            with suppress(OSError, ValueError):
                if all(_is_intact(path / name, size) for name, (size, _) in _sums(path).items()):
                    return step
        if steps:
            raise self._all_broken(["a file is missing or cut"])
        return None

    def load(self, state_for: Callable[[dict[str, Any]], Mapping[str, Any]]) -> dict[str, Any]:
        """Read the newest checkpoint that can be read and fits.

        Args:
            state_for: Gets the plain values of a checkpoint, nested as they were saved with None in the place of each
                tensor, and returns the state whose tensors the checkpoint is read into; it is called for each
                checkpoint that is tried.

        Returns:
            The state as it was saved. Tensors without a place come new, on the CPU. "own" is what this process saved
            if there are as many processes as then, otherwise what the first one saved.

        Raises:
            DataError: No checkpoint can be read.
        """
        self.wait()
        self.damaged = []
        for step in self._steps():
            path, self.reading = self._path(step), step
            try:
                self._check(path)
                plain = _unpack(self._read_tensors(path, [PLAIN])[PLAIN])
                return self._read(path, plain, state_for(plain))
            except _UNREADABLE as error:
                self.damaged.append(f"step {step}: {_reason(error)}")
        raise self._all_broken(self.damaged or ["there is none"])

    def _all_broken(self, reasons: list[str]) -> DataError:
        return DataError(
            f"every checkpoint in {self.folder} is broken or of another model ({'; '.join(reasons)}); "
            "delete the folder to start anew"
        )

    def _write(
        self,
        step: int,
        draft: Path,
        writer: HuggingFaceStorageWriter,
        tensors: dict[str, Tensor],
        group: dist.ProcessGroup | None,
    ) -> None:
        if rank() == 0:
            for leftover in self.folder.glob(".step-*"):  # of a process that was killed while it wrote or removed one
                shutil.rmtree(leftover)
        dcp.save(tensors, storage_writer=writer, process_group=group, no_dist=group is None)
        if rank() == 0:  # `save` returns here when all processes have written
            _publish(draft, self._path(step))
            for old in self._steps()[self.keep :]:
                _remove(self._path(old))

    def _check(self, path: Path) -> None:
        """Raise ValueError unless every file is as it was written; each process reads some of them."""
        sums = _sums(path)
        bad = [name for name in sorted(sums)[rank() :: world()] if not _is_intact(path / name, *sums[name])]
        if bad := [name for part in gather_objects(bad) for name in part]:
            raise ValueError(f"{bad[0]} is missing, cut or damaged")

    def _read(self, path: Path, plain: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        saved = HuggingFaceStorageReader(str(path)).read_metadata().state_dict_metadata
        given, _ = _split(state)
        # An optimizer has no state for a parameter that has had no gradient yet.
        if absent := sorted(name for name in given.keys() - saved.keys() if "/state/" not in name):
            raise ValueError(f"it lacks {absent[0]}")
        then = sum(name.startswith(f"{OWN}/") for name in saved)
        own = f"{OWN}/{rank() if then == world() else 0}"
        names = [name for name in saved if name == own or not name.startswith(f"{OWN}/")]
        tensors = self._read_tensors(path, names, given)
        loaded = _mapped(plain, "", tensors.get)
        return loaded | {OWN: _unpack(tensors[own])} if own in tensors else loaded

    def _read_tensors(
        self, path: Path, names: Iterable[str], given: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Read the named tensors, into those that are given."""
        reader, given = HuggingFaceStorageReader(str(path)), given or {}
        saved: dict[str, Any] = reader.read_metadata().state_dict_metadata
        wanted = {
            name: given[name] if name in given else torch.empty(held.size, dtype=held.properties.dtype)
            for name, held in ((name, saved[name]) for name in names)
        }
        group = self._processes()
        dcp.load(wanted, storage_reader=reader, process_group=group, no_dist=group is None)
        return wanted

    def _processes(self) -> dist.ProcessGroup | None:
        """Return a group apart from the one that trains, for the messages of writing a checkpoint."""
        if world() > 1 and self._group is None:
            self._group = dist.new_group(backend="gloo")
        if self._group is None:
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        return self._group

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step}"

    def _steps(self) -> list[int]:
        """Return the steps of all checkpoints, newest first."""
        return sorted(
            (int(n) for path in self.folder.glob("step-*") if (n := path.name.removeprefix("step-")).isdecimal()),
            reverse=True,
        )


def _flat(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return every tensor by its path, and all else as tensors of bytes."""
    tensors, plain = _split(state)
    if rank() == 0:
        tensors[PLAIN] = _pack(plain)
    if OWN in state:
        tensors[f"{OWN}/{rank()}"] = _pack(state[OWN])
    return tensors


def _split(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors of a state but for "own" by their paths, and the state with None in their places."""
    tensors: dict[str, Tensor] = {}

    def taken(path: str, leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            tensors[path] = leaf
            return None
        return leaf

    return tensors, _mapped({k: v for k, v in state.items() if k != OWN}, "", taken)


def _mapped(value: Any, path: str, change: Callable[[str, Any], Any]) -> Any:
    """Return nested dicts, lists and tuples with `change(path, leaf)` in the place of each leaf."""
    if isinstance(value, Mapping):
        return {k: _mapped(v, f"{path}/{k}", change) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_mapped(v, f"{path}/{i}", change) for i, v in enumerate(value)])
    return change(path, value)


def _pack(value: Any) -> Tensor:
    """Return bytes [n] that are read without running code; read once here, so that nothing unreadable is written."""
    file = io.BytesIO()
    torch.save(value, file)
    packed = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    _unpack(packed)
    return packed


def _unpack(packed: Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), weights_only=True)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the number, from 1, of the file that each tensor goes to."""
    sizes = {k: (v.to_local() if isinstance(v, DTensor) else v).nbytes for k, v in tensors.items()}
    limit, part, filled, where = max(PART_BYTES, sum(sizes.values()) // PARTS), 1, 0, {}
    for name, size in sizes.items():
        if filled and filled + size > limit:
            part, filled = part + 1, 0
        where[name], filled = part, filled + size
    return where | {f"{OWN}/{place}": part for place in range(world())}


def _publish(draft: Path, path: Path) -> None:
    """Bring the files of `draft` to disk, list them and rename it to `path`."""
    files = sorted(draft.iterdir())
    sums = {file.name: [file.stat().st_size, _checksum(file)] for file in files}
    (draft / FILES).write_text(json.dumps(sums, indent=1) + "\n")
    for place in (*files, draft / FILES, draft):
        _sync(place)
    if path.exists():
        _remove(path)
    draft.rename(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    """Take the name away first: a checkpoint is never half there."""
    gone = path.with_name(f".{path.name}.gone")
    path.rename(gone)
    shutil.rmtree(gone)


def _sums(path: Path) -> dict[str, tuple[int, int]]:
    """Return size and checksum of each file. Raises OSError or ValueError."""
    try:
        held = json.loads((path / FILES).read_text())
        return {str(name): (int(size), int(checksum)) for name, (size, checksum) in held.items()}
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{FILES} is damaged ({error})") from None


def _is_intact(path: Path, size: int, checksum: int | None = None) -> bool:
    try:
        return path.stat().st_size == size and (checksum is None or _checksum(path) == checksum)
    except OSError:
        return False


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _reason(error: BaseException) -> str:
    """Return the last line of an error; torch.distributed.checkpoint gives whole tracebacks."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
