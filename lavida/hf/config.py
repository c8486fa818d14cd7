"""`VLMConfig` as a configuration of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from transformers import PretrainedConfig

from lavida.checkpoint.files import CONFIG, read_json
from lavida.checkpoint.inventory import read_config, survey
from lavida.checkpoint.named import find_model
from lavida.config import VLMConfig
from lavida.errors import CheckpointError, RequestError

_OWN = tuple(f.name for f in fields(VLMConfig))
# Arguments without effect: those that the Auto classes pass on (no code of a checkpoint is run, whatever
# trust_remote_code says), and ways to load a model, which its configuration and processor do not depend on.
_WITHOUT_EFFECT = (
    "_from_auto", "_from_pipeline", "adapter_kwargs", "attn_implementation", "code_revision", "config", "device_map",
    "dtype", "low_cpu_mem_usage", "torch_dtype", "trust_remote_code", "use_fast", "use_safetensors",
)  # fmt: skip
# Where and how to look on the hub; without effect for a folder.
_HUB = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


def folder_of(path: str | Path, given: Mapping[str, Any]) -> Path:
    """Return the folder of a model by path, hub id or name, as `lavida.load` finds it.

    `given` holds the other arguments of a `from_pretrained`. Raises RequestError if one would be ignored.
    """
    here = Path(path).is_dir()
    for name, value in given.items():
        if name in _WITHOUT_EFFECT or value is None or value is False or (name, value) == ("revision", "main"):
            continue
        if name not in _HUB:
            raise RequestError(f"from_pretrained takes no argument {name!r}; leave it out")
        if not here or name == "subfolder":
            mend = "download by huggingface_hub.snapshot_download, give the folder"
            raise RequestError(f"from_pretrained takes no {name!r}; {mend}")
    return find_model(path)


class LavidaConfig(PretrainedConfig):
    """Hold a `VLMConfig` as `vlm`, written as the `config.json` that `lavida.load` reads.

    Tensors of a published checkpoint say part of its configuration, so the whole of it is fetched from the hub.
    """

    model_type = "lavida"
    has_no_defaults_at_init = True

    def __init__(self, **given: Any) -> None:
        self.vlm = VLMConfig.from_json({name: given.pop(name) for name in _OWN if name in given})
        super().__init__(**given)

    @classmethod
    def of(cls, vlm: VLMConfig, **given: Any) -> Self:
        """Return the configuration that wraps `vlm`."""
        return cls(**{name: value for name, value in vlm.to_json().items() if name in _OWN}, **given)

    @classmethod
    def from_pretrained(cls, path: str | Path, **given: Any) -> Self:
        """Read a model by folder, hub id or name. Raises CheckpointError, ConfigError, RequestError."""
        folder = folder_of(path, given)
        return cls.from_dict(read_json(folder / CONFIG), name_or_path=str(folder))

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **given: Any) -> Any:
        """Read our fields, or for another `model_type` the published checkpoint `name_or_path` that they are of.

        With `return_unused_kwargs` a pair, as in transformers. Raises CheckpointError, ConfigError.
        """
        both, name = given.pop("return_unused_kwargs", False), given.pop("name_or_path", "")
        config_dict = {n: v for n, v in config_dict.items() if n != "_commit_hash"}  # transformers 5.0 puts it there
        if config_dict.get("model_type") == cls.model_type:
            vlm = VLMConfig.from_json(config_dict)
        else:
            contents = survey(find_model(name))
            if contents.data != config_dict:
                raise CheckpointError(f"{contents.folder / CONFIG} is not what was read; give the folder of one model")
            vlm = read_config(contents)
        config = cls.of(vlm, name_or_path=name)
        return (config, {n: v for n, v in given.items() if n not in _WITHOUT_EFFECT}) if both else config

    def to_dict(self) -> dict[str, Any]:
        """Return the fields of `VLMConfig` and nothing else."""
        return self.vlm.to_json()

    def to_diff_dict(self) -> dict[str, Any]:
        """Return the same: no field is left out for having its default."""
        return self.to_dict()
