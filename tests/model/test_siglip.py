from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn
from transformers import SiglipVisionConfig, SiglipVisionModel

from lavida.model.siglip import SiglipTower
from tests.fakes import SIGLIP


def test_output_and_gradients_are_those_of_transformers_before_the_norm() -> None:
    torch.manual_seed(0)
    ours, theirs = SiglipTower(SIGLIP), _transformers_tower()
    names = {"patches": "embeddings.patch_embedding", "positions": "embeddings.position_embedding"}
    renamed = {
        name: names.get(name.split(".")[0], name.split(".")[0]) + name[name.index(".") :] for name in _names(ours)
    }
    assert list(renamed.values()) == _names(theirs)[: len(renamed)]
    ours.load_state_dict({name: theirs.get_parameter(other) for name, other in renamed.items()})
    views = torch.randn(2, 3, SIGLIP.image_size, SIGLIP.image_size)
    found = ours(views)
    wanted = theirs.encoder(inputs_embeds=theirs.embeddings(views)).last_hidden_state
    assert found.shape == (2, SIGLIP.cells**2, SIGLIP.hidden_size) and torch.equal(found, wanted)
    found.sin().sum().backward()
    wanted.sin().sum().backward()
    assert all(torch.equal(ours.get_parameter(n).grad, theirs.get_parameter(m).grad) for n, m in renamed.items())


def test_features_of_a_view_do_not_depend_on_the_others() -> None:
    tower = SiglipTower(SIGLIP)
    views = torch.randn(3, 3, SIGLIP.image_size, SIGLIP.image_size)
    with torch.no_grad():
        assert torch.equal(tower(views), torch.cat([tower(view[None]) for view in views]))


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def _transformers_tower() -> nn.Module:
    config = SiglipVisionConfig(
        hidden_size=SIGLIP.hidden_size,
        intermediate_size=SIGLIP.mlp_size,
        num_hidden_layers=SIGLIP.n_layers,
        num_attention_heads=SIGLIP.n_heads,
        image_size=SIGLIP.image_size,
        patch_size=SIGLIP.patch_size,
        layer_norm_eps=SIGLIP.norm_eps,
        hidden_act="gelu_pytorch_tanh",
        vision_use_head=False,
    )
    model = SiglipVisionModel(config)
    return getattr(model, "vision_model", model)  # one level deeper before transformers 5


def test_the_model_imports_without_transformers() -> None:
    code = "import sys, lavida.model.vlm; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
