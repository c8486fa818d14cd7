"""Checkpoints of a run: the newest few, each whole or not there, written while training goes on.

A checkpoint is a folder `step-N` of safetensors files, written and read by torch.distributed.checkpoint: every process
writes its own part of what is sharded, and any number of processes can read it. It is filled under a hidden name and
renamed once all of it is on disk, so that a process may be killed at any moment.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
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
from lavida.train.processes import rank, world

OWN = "own"  # key of the state for what differs between processes
PLAIN = "plain"  # tensor of bytes: all of the state that is no tensor
FILES = "files.json"  # name and size of each file, written last
PART_BYTES, PARTS = 15_000_000, 64  # files of 15 MB or one tensor; larger ones rather than more than 64 a process


class Checkpoints:
    """`folder/step-N` is the checkpoint of step N; the `keep` newest are kept. Every process calls every method."""

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._group: dist.ProcessGroup | None = None

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
        """Until what was begun is on disk. Raises DataError if it could not be written."""
        writing, self._writing = self._writing, None
        try:
            if writing is not None:
                writing.result()
        except (OSError, CheckpointException) as error:
            raise DataError(f"cannot write a checkpoint to {self.folder} ({_reason(error)}); free some space") from None

    def latest(self) -> int | None:
        """The newest step of which no file is missing or cut, None before the first. Raises DataError if all are."""
        steps = self._steps()
        whole = next((step for step in steps if _is_whole(self._path(step))), None)
        if steps and whole is None:
            raise self._all_broken(["a file is missing or cut"])
        return whole

    def load(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The newest checkpoint that can be read and fits, nested as it was saved.

        Tensors of `state` are written in place, each process reading its part of the sharded ones; what else the
        checkpoint holds comes in new tensors on the CPU. "own" is what this process gave if there are as many as then,
        otherwise what the first one gave. Raises DataError if there is none.
        """
        self.wait()
        reasons = []
        for step in self._steps():
            try:
                return self._read(self._path(step), state)
            except (OSError, ValueError, SafetensorError, CheckpointException) as error:
                reasons.append(f"step {step}: {_reason(error)}")
        raise self._all_broken(reasons or ["there is none"])

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
            _sweep(self.folder)
        dcp.save(tensors, storage_writer=writer, process_group=group, no_dist=group is None)
        if rank() == 0:  # `save` returns here when all processes have written
            _publish(draft, self._path(step))
            for old in self._steps()[self.keep :]:
                _remove(self._path(old))

    def _read(self, path: Path, state: Mapping[str, Any]) -> dict[str, Any]:
        if not _is_whole(path):
            raise ValueError("a file is missing or cut")
        saved = HuggingFaceStorageReader(str(path)).read_metadata().state_dict_metadata
        given: dict[str, Tensor] = {}
        _split({k: v for k, v in state.items() if k != OWN}, "", given)
        # An optimizer has no state for a parameter that has had no gradient yet.
        if absent := sorted(name for name in given.keys() - saved.keys() if "/state/" not in name):
            raise ValueError(f"it lacks {absent[0]}")
        then = sum(name.startswith(f"{OWN}/") for name in saved)
        own = f"{OWN}/{rank() if then == world() else 0}"
        wanted = {
            name: given[name] if name in given else torch.empty(held.size, dtype=held.properties.dtype)
            for name, held in saved.items()
            if name == own or not name.startswith(f"{OWN}/")
        }
        group, reader = self._processes(), HuggingFaceStorageReader(str(path))
        dcp.load(wanted, storage_reader=reader, process_group=group, no_dist=group is None)
        loaded = _join(_unpack(wanted[PLAIN]), "", wanted)
        return loaded | {OWN: _unpack(wanted[own])} if own in wanted else loaded

    def _processes(self) -> dist.ProcessGroup | None:
        """A group apart from the one that trains, for the messages that pass while a checkpoint is written."""
        if world() > 1 and self._group is None:
            self._group = dist.new_group(backend="gloo")
        if self._group is None:
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        return self._group

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step}"

    def _steps(self) -> list[int]:
        """Newest first."""
        return sorted((int(path.name.removeprefix("step-")) for path in self.folder.glob("step-*")), reverse=True)


def _flat(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Every tensor by its path, and what is no tensor as tensors of bytes."""
    tensors: dict[str, Tensor] = {}
    plain = _split({k: v for k, v in state.items() if k != OWN}, "", tensors)
    if rank() == 0:
        tensors[PLAIN] = _pack(plain)
    if OWN in state:
        tensors[f"{OWN}/{rank()}"] = _pack(state[OWN])
    return tensors


def _split(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` with its tensors moved to `tensors` and None left in their places."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return None
    if isinstance(value, Mapping):
        return {k: _split(v, f"{path}/{k}", tensors) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_split(v, f"{path}/{i}", tensors) for i, v in enumerate(value)])
    return value


def _join(value: Any, path: str, tensors: Mapping[str, Tensor]) -> Any:
    """What `_split` was given."""
    if path in tensors:
        return tensors[path]
    if isinstance(value, dict):
        return {k: _join(v, f"{path}/{k}", tensors) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_join(v, f"{path}/{i}", tensors) for i, v in enumerate(value)])
    return value


def _pack(value: Any) -> Tensor:
    """Bytes [n] that are read without running code; they are read once here, so that nothing unreadable is written."""
    file = io.BytesIO()
    torch.save(value, file)
    packed = torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
    _unpack(packed)
    return packed


def _unpack(packed: Tensor) -> Any:
    return torch.load(io.BytesIO(packed.numpy().tobytes()), weights_only=True)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The number, from 1, of the file that each tensor goes to."""
    sizes = {k: (v.to_local() if isinstance(v, DTensor) else v).nbytes for k, v in tensors.items()}
    limit, part, filled = max(PART_BYTES, sum(sizes.values()) // PARTS), 1, 0
    where = {}
    for name, size in sizes.items():
        if filled and filled + size > limit:
            part, filled = part + 1, 0
        where[name], filled = part, filled + size
    return where | {f"{OWN}/{place}": part for place in range(world())}


def _publish(draft: Path, path: Path) -> None:
    """Bring the files of `draft` to disk, list them and rename it to `path`."""
    files = sorted(draft.iterdir())
    (draft / FILES).write_text(json.dumps({file.name: file.stat().st_size for file in files}, indent=1) + "\n")
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


def _sweep(folder: Path) -> None:
    """Remove what a process that was killed had begun to write or to remove."""
    for leftover in folder.glob(".step-*"):
        shutil.rmtree(leftover)


def _is_whole(path: Path) -> bool:
    try:
        sizes = json.loads((path / FILES).read_text())
        return all((path / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _reason(error: BaseException) -> str:
    """The last line of what went wrong; DCP gives whole tracebacks."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
