"""A model that knows a few sentences and how likely each is: its conditionals are exact, so what is right is known."""

from __future__ import annotations

import math
import re
from types import SimpleNamespace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from lavida.cache.prefix import PrefixCache
from lavida.config import DenoiserConfig
from lavida.decode.context import PrefixContext
from lavida.decode.prompt import Prompt
from lavida.nn.ragged import Forward
from lavida.text.chat import TEMPLATES
from lavida.text.tokenizer import FIM, SPAN, Tokenizer
from tests.tiny import tiny_config

LENGTH = 24
STRANGE = 1e-4  # how likely a sentence is to hold another token than its own at one place


class OracleDenoiser:
    """Hidden states are logits: at each place what the sentences [S, L] hold, mixed by what is shown of them."""

    def __init__(self, sentences: Tensor, weights: Tensor, config: DenoiserConfig) -> None:
        self._sentences, self._weights, self._config = sentences, weights, config
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def embed(self, ids: Tensor) -> Tensor:
        return ids[..., None]

    def head(self, hidden: Tensor, part: slice | None = None) -> Tensor:
        return hidden.clone() if part is None else hidden[..., part].clone()

    def forward_ragged(self, forwards: list[Forward]) -> list[Tensor]:
        return [self(f.x, mask=f.mask, cache=f.cache) for f in forwards]

    def __call__(self, x: Tensor, *, mask: Tensor | None, cache: PrefixCache) -> Tensor:
        ids, sentences = x[..., 0], self._sentences[:, : x.shape[1]]
        if x.shape[1] > sentences.shape[1]:  # rows that fill up a shared pass
            return torch.zeros(*x.shape[:2], self._config.vocab_size)
        strange = ((ids != self._config.mask_id)[:, None] & (ids[:, None] != sentences)).sum(2)  # [B, S]
        weights = (self._weights.log() + strange * math.log(STRANGE)).softmax(1)
        said = one_hot(sentences, self._config.vocab_size).double()
        return (torch.einsum("bs,slv->blv", weights, said) + STRANGE / self._config.vocab_size).log().float()


def oracle(sentences: dict[str, float], *, gaps: bool = False) -> Prompt:
    """A prompt to which the answer is one of `sentences`, with the given weights.

    With `gaps`, [S] and [FIM] in a sentence are the tokens of a model that was taught infilling.
    """
    tokenizer = Tokenizer.train([re.sub(r"\[\w+\]", "", text) for text in sentences] * 3, 320)
    config = tiny_config(tokenizer)
    end = tokenizer.eos_id
    canvases = torch.full((len(sentences), LENGTH), end)
    for canvas, text in zip(canvases, sentences):
        pieces = re.split(r"(\[S\]|\[FIM\])", " " + text) if gaps else [" " + text]
        ids = [i for piece in pieces for i in _ids(tokenizer, piece)]
        canvas[: len(ids)] = torch.tensor(ids)
    weights = torch.tensor(list(sentences.values()), dtype=torch.float64)
    net = SimpleNamespace(config=config, denoiser=OracleDenoiser(canvases, weights, config.denoiser))
    held = PrefixCache(1)
    held.writing = False
    prefix = PrefixContext(net, held)
    return Prompt(net=net, segments=[], prefix=prefix, tokenizer=tokenizer, template=TEMPLATES["lavida-mini"])


def _ids(tokenizer: Tokenizer, piece: str) -> list[int]:
    special = {"[S]": SPAN, "[FIM]": FIM}
    return [tokenizer.id_of(special[piece])] if piece in special else tokenizer.encode_on(piece)
