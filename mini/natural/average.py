"""Average the weights of models that come one from the other: `python -m mini.natural.average OUT MODEL MODEL...`.

Each training ends at a point of its own around the same valley; the mean of the points answers more questions than any
of them ("model soups", arXiv 2203.05482). Everything besides the weights is taken from the last model,
without what was measured of it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lavida.checkpoint.files import WEIGHTS
from lavida.errors import CheckpointError
from lavida.train.launch import MEASURED


def average(models: Sequence[Path], out: Path) -> None:
    """Write the mean of the models' weights to the new folder `out`, with the other files of the last one.

    Raises:
        CheckpointError: `out` is there already, or the models hold other tensors or other words.
    """
    if out.exists():
        raise CheckpointError(f"{out} is there already; choose another folder")
    states = [load_file(model / WEIGHTS) for model in models]
    last = states[-1]
    for model, state in zip(models, states, strict=True):
        if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in last.items()}:
            raise CheckpointError(f"{model} holds other tensors than {models[-1]}; average models of one lineage")
        for name in ("tokenizer.json", "names.json"):
            if (model / name).read_bytes() != (models[-1] / name).read_bytes():
                raise CheckpointError(f"{model} has another {name} than {models[-1]}; average models of one lineage")
    with safe_open(models[-1] / WEIGHTS, "pt") as file:
        metadata = file.metadata()
    mean = {name: _mean([state[name] for state in states]) for name in last}
    shutil.copytree(models[-1], out, ignore=shutil.ignore_patterns(WEIGHTS, *MEASURED))
    save_file(mean, out / WEIGHTS, metadata=metadata)


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors[-1].is_floating_point():
        return tensors[-1]
    return torch.stack([t.float() for t in tensors]).mean(0).to(tensors[-1].dtype)


def main(args: Sequence[str] | None = None) -> None:
    """Run the program; a mistake is one line and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m mini.natural.average", description=__doc__)
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument("models", type=Path, nargs="+", help="folders of models of one lineage")
    given = parser.parse_args(args)
    try:
        average(given.models, given.out)
    except (CheckpointError, OSError) as error:
        print(f"average: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
