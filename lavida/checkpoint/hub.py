"""Find a model: a folder on disk, else a download from the Hugging Face hub, of data files only."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from lavida.errors import CheckpointError

# Weights, configurations and tokenizers. Code (*.py) is never fetched, nor are pickles but the stage-1 projector's.
FILES = ("*.safetensors", "*.json", "*.jinja", "merges.txt", "tokenizer.model", "mm_projector.bin")
_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_checkpoint(path_or_id: str | Path) -> Path:
    """Return the folder of a model: a local one, else the hub's model of that id, downloaded once, then read offline.

    With HF_HUB_OFFLINE=1 no network is used.

    Raises:
        CheckpointError: There is no such folder or model, or no network.
    """
    name = str(path_or_id)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise CheckpointError(f"{name} is a file; give the folder that it lies in")
    if isinstance(path_or_id, Path) or not _ID.fullmatch(name):
        raise CheckpointError(f"no folder {name}; give a folder with config.json, or the id owner/name of a hub model")
    return _snapshot(name)


def _snapshot(model_id: str) -> Path:
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    try:
        cached = Path(snapshot_download(model_id, allow_patterns=list(FILES), local_files_only=True))
        if _is_whole(cached):
            return cached
    except (OSError, ValueError):  # not there, or only a part of it
        pass
    try:
        return Path(snapshot_download(model_id, allow_patterns=list(FILES)))
    except hub.GatedRepoError:
        problem = "asks for a login; accept its terms on the hub and set HF_TOKEN"
    except hub.RepositoryNotFoundError:
        problem = "is neither a folder here nor a public model of the hub; check the spelling"
    except hub.HFValidationError:
        problem = "is neither a folder here nor a valid hub id; write owner/name"
    except OSError as error:
        problem = _unreachable(error)
    raise CheckpointError(f"{model_id} {problem}")


def _unreachable(error: OSError) -> str:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "is not on this machine and HF_HUB_OFFLINE is set; unset it once to download the model, or give a folder"
    cause = (error.__cause__ or error).__class__.__name__
    return f"is not on this machine and the hub cannot be reached ({cause}); check the network, or give a folder"


def _is_whole(folder: Path) -> bool:
    """Return whether a cached snapshot holds configuration and weights: other programs cache single files."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        try:
            shards = set(json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):  # cut short: fetch it again
            return False
        return all((folder / shard).is_file() for shard in shards)
    weights = ("model.safetensors", "pytorch_model.safetensors", "mm_projector.bin")
    return any((folder / name).is_file() for name in weights)
