from __future__ import annotations

import subprocess
import sys

import torch

from lavida.model.siglip import SiglipTower
from tests.fakes import SIGLIP


@torch.no_grad()
def test_output_is_that_of_the_last_layer_before_the_norm() -> None:
    torch.manual_seed(0)
    tower = SiglipTower(SIGLIP).eval()
    views = torch.randn(2, 3, SIGLIP.image_size, SIGLIP.image_size)
    x = tower.patches(views).flatten(2).transpose(1, 2) + tower.positions.weight
    for layer in tower.encoder.layers:
        x = layer(x, None)
    got = tower(views)
    assert got.shape == (2, SIGLIP.cells**2, SIGLIP.hidden_size)
    assert torch.allclose(got, x, atol=1e-6)


def test_the_model_imports_without_transformers() -> None:
    code = "import sys, lavida.model.vlm; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
