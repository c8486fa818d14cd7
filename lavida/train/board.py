"""The lines of a run's log for TensorBoard, with `lavida[tensorboard]` installed: `tensorboard --logdir RUN`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lavida.errors import RequestError

FOLDER = "tensorboard"


class Board:
    """Event files in `out/tensorboard`; what an earlier process wrote after step `since` is hidden.

    Raises RequestError if TensorBoard is not installed.
    """

    def __init__(self, out: Path, *, since: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise RequestError("TensorBoard is not installed; pip install 'lavida[tensorboard]'") from None
        self._writer = SummaryWriter(str(out / FOLDER), purge_step=since + 1)

    def write(self, event: str, step: int, **fields: Any) -> None:
        """One line of the log: its numbers as scalars, captions as text."""
        for name, value in _numbers(event, fields):
            self._writer.add_scalar(name, value, step)
        for i, caption in enumerate(fields.get("captions") or ()):
            told = "\n\n".join(f"{key}: {value}" for key, value in caption.items())
            self._writer.add_text(f"captions/{i}", told, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


def _numbers(group: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Every number, named by where it stands: step/loss, step/lr/projector, step/buckets/3."""
    for name, value in fields.items():
        nested = dict(enumerate(value)) if isinstance(value, (list, tuple)) else value
        if isinstance(nested, Mapping):
            yield from _numbers(f"{group}/{name}", {str(key): inner for key, inner in nested.items()})
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{group}/{name}", float(value)
