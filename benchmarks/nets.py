"""Networks of random weights, for times and memory: they do not depend on what the weights are."""

from __future__ import annotations

import torch
from torch import Tensor

from lavida.config import DenoiserConfig, VLMConfig
from lavida.model.vlm import VLM

LLADA_VOCABULARY = 126464
# About 0.5 billion parameters, three quarters of them in the blocks, as in the small language models of our day.
HALF_BILLION = DenoiserConfig(
    vocab_size=LLADA_VOCABULARY,
    d_model=1024,
    n_layers=24,
    n_heads=16,
    n_kv_heads=16,
    mlp_size=4096,
    mask_id=126336,
    eos_ids=(126081,),
    tied_head=True,
)
SMALL = DenoiserConfig(
    vocab_size=320,
    d_model=32,
    n_layers=2,
    n_heads=4,
    n_kv_heads=4,
    mlp_size=64,
    mask_id=1,
    eos_ids=(0,),
    tied_head=True,
)


def random_net(denoiser: DenoiserConfig, dtype: torch.dtype, seed: int = 0) -> VLM:
    """Return a text-only network, in `dtype` from the start."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            net = VLM(VLMConfig(denoiser=denoiser, family="llada"))
        net.to_empty(device="cpu")
    finally:
        torch.set_default_dtype(before)
    net.reset(torch.Generator().manual_seed(seed))
    return net.eval()


def random_prompt(net: VLM, length: int, seed: int = 0) -> Tensor:
    """Embeddings [1, P, D] of a prompt of random words."""
    ids = torch.randint(net.config.denoiser.vocab_size, (1, length), generator=torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        return net.denoiser.embed(ids.to(net.denoiser.device))


def parameters(net: VLM) -> int:
    return sum(p.numel() for p in net.parameters())
