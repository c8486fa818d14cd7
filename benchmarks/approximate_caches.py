"""How far the approximate caches are from what they approximate, pass by pass.

    python benchmarks/approximate_caches.py FOLDER --length 64 --block 16 --refresh 1 2 4
    python benchmarks/approximate_caches.py            (random weights: the arithmetic, not a model's habits)

An answer is written without a cache. At every pass each cache is asked the same question of the same canvas, and its
candidates and certainties are held against the exact ones. One JSON object a line: the share of positions with the
same candidate, the mean difference of their certainties, and the positions computed, 1 = all of them at every pass.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from lavida.checkpoint.named import load_net
from lavida.config import DenoiserConfig, VLMConfig
from lavida.decode.context import context_for
from lavida.decode.loop import Canvas, DenoisingLoop
from lavida.decode.options import BLOCK_CACHES, DecodeOptions
from lavida.decode.score import Query, score_logits
from lavida.model.vlm import VLM


def random_model(seed: int) -> VLM:
    """Return a small LLaDA, its matrices large enough that tokens matter to one another."""
    config = DenoiserConfig(
        vocab_size=1024, d_model=256, n_layers=6, n_heads=4, n_kv_heads=4, mlp_size=512, mask_id=1023, eos_ids=(1022,)
    )
    model = VLM(VLMConfig(denoiser=config, family="llada"))
    model.reset(torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for p in model.denoiser.blocks.parameters():
            if p.dim() > 1:
                p.mul_(4)
    return model.eval()


def logits_of(model: VLM, prompt: list[Tensor], options: DecodeOptions) -> Callable[[Query], Tensor]:
    """Return a function from a query to its logits [n, V] behind prompt pieces."""
    context = context_for(model, prompt, options)

    def logits(query: Query) -> Tensor:
        outputs = [model.denoiser(f.x, mask=f.mask, cache=f.cache) for f in context.forwards(query)]
        return context.head(context.hidden(query, outputs), None)

    return logits


class Cached:
    """One cache on the way of an answer that is written without it."""

    def __init__(self, model: VLM, prompt: list[Tensor], cache: str, refresh: int | None) -> None:
        self.name = {"cache": cache, "refresh": refresh}
        self.options = DecodeOptions(cache=cache, refresh=refresh)
        self.logits_of = logits_of(model, prompt, self.options)
        self.same, self.off, self.work = [], [], []

    def follow(self, query: Query, turn: int, exact: Tensor, prompt: int) -> None:
        """Compare the logits [n, V] of a query with the exact ones."""
        fresh = self.options.is_fresh(turn)
        asked = replace(query, refresh=fresh)
        p, q = (x.double().softmax(-1) for x in (self.logits_of(asked), exact))
        self.same += (p.argmax(-1) == q.argmax(-1)).tolist()
        self.off += (p.amax(-1) - q.amax(-1)).abs().tolist()
        end = query.block.stop if self.options.cache == "dual" else len(query.ids)
        whole = prompt + len(query.ids)
        self.work.append(1.0 if fresh else (end - query.block.start) / whole)

    def found(self) -> dict[str, object]:
        """Return the means over the whole answer."""
        means = {"same": self.same, "difference": self.off, "positions": self.work}
        return {**self.name, **{name: round(sum(x) / len(x), 4) for name, x in means.items()}}


@torch.inference_mode()
def compare(model: VLM, prompt: Tensor, options: DecodeOptions, refreshes: list[int | None]) -> Iterator[dict]:
    """Yield how each cache differs along one answer to the prompt [P]."""
    config, segments = model.config.denoiser, model.segments(prompt, [])
    exact = logits_of(model, segments, DecodeOptions(cache="none"))
    caches = [Cached(model, segments, *pair) for pair in product(BLOCK_CACHES, refreshes)]
    canvas = Canvas.blank(options.length, config.mask_id)
    loop = DenoisingLoop(canvas, options, mask_id=config.mask_id, eos_ids=config.eos_ids)
    block, turn = None, 0
    while loop.query is not None:
        query = loop.query
        turn = turn + 1 if query.block == block else 0
        block, logits = query.block, exact(query)
        for cache in caches:
            cache.follow(query, turn, logits, len(prompt))
        loop.step(score_logits(query, logits, options, mask_id=config.mask_id, generator=loop.generator))
    yield from (one.found() for one in caches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, help="folder of a checkpoint; default: random weights")
    parser.add_argument("--prompt", type=int, default=64, help="tokens, drawn at random")
    parser.add_argument("--length", type=int, default=64)
    parser.add_argument("--block", type=int, default=16)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--refresh", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = load_net(args.model) if args.model else random_model(args.seed)
    vocab = min(model.config.denoiser.mask_id, *model.config.denoiser.eos_ids)
    prompt = torch.randint(vocab, (args.prompt,), generator=torch.Generator().manual_seed(args.seed))
    options = DecodeOptions(
        length=args.length, block=args.block, steps=args.steps, cache="none", early_stop=False, seed=args.seed
    )
    for found in compare(model, prompt, options, [None, *args.refresh]):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
