"""Measure what it saves to keep the prompts of a picture: guidance reads two of them at every step.

    python -m benchmarks.drawing
    python -m benchmarks.drawing --codes 1024 --steps 15
    python -m benchmarks.drawing --small       # tiny weights and lengths: does it run?

Random weights, guidance 3.5, a description of 8, 77 and 510 tokens. Arms: both prompts computed at every step, without
filling (`none`, the default); kept after the first step (`block`); computed once, apart from the picture (`prefix`);
and both in 513 places, filled up and masked, as MMaDA's code computes them (`filled`). How many codes are those of
`none` is counted, which says little of random weights: `block` and `prefix` only approximate it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from benchmarks.harness import environment, faster, finish, interleave, parser
from benchmarks.nets import SMALL, parameters, random_net
from benchmarks.report import Report, Row
from lavida.config import CodesConfig, DenoiserConfig, VLMConfig
from lavida.decode.context import Unconditional
from lavida.decode.driver import answer_steps
from lavida.draw.options import DrawOptions
from lavida.draw.request import decode_options
from lavida.model.vlm import VLM
from lavida.text.codes import Layouts

# 19 million parameters in the blocks, and few words: of the vocabulary only the codes are computed.
MIDDLE = DenoiserConfig(
    vocab_size=9216, d_model=512, n_layers=6, n_heads=8, n_kv_heads=8, mlp_size=1408, mask_id=900, eos_ids=(901,)
)
CODES = CodesConfig(
    first_id=1024,
    count=8192,
    start_id=902,
    begin_id=903,
    end_id=904,
    read_id=905,
    draw_id=906,
    reason_id=907,
    pad_id=908,
)
FEW = CodesConfig(first_id=256, count=64, start_id=2, begin_id=3, end_id=4, read_id=5, draw_id=6, reason_id=7, pad_id=8)
LENGTHS = (8, 77, 510)
ROOM = 512


def net_of(denoiser: DenoiserConfig, codes: CodesConfig) -> VLM:
    """Return a random network whose pictures are tokens; attention is sharp, so that what it sees counts."""
    net = random_net(denoiser, torch.float32)
    net.config = VLMConfig(denoiser=denoiser, family="mmada", codes=codes)
    with torch.no_grad():
        for name, weight in net.denoiser.blocks.named_parameters():
            if weight.dim() > 1:
                weight.mul_(4 if "attn" in name else 2)
    return net


def layouts_of(net: VLM) -> Layouts:
    assert net.config.codes is not None
    return Layouts(codes=net.config.codes, end_id=net.config.denoiser.eos_ids[0])


@torch.inference_mode()
def draw(net: VLM, text: list[int], options: DrawOptions, slots: int, drawn: dict[str, Tensor]) -> None:
    """Draw one picture and keep its codes."""
    layouts, mask_id = layouts_of(net), net.config.denoiser.mask_id
    draft = torch.tensor([mask_id] * slots + [layouts.codes.end_id])
    decode = decode_options(layouts.codes, options, draft[:-1], mask_id=mask_id)
    asked, nothing = (net.segments(torch.tensor(layouts.asked(ids)), []) for ids in (text, []))
    unconditional = Unconditional(segments=nothing)
    *_, last = answer_steps(net, asked, decode, draft=draft, unconditional=unconditional)
    drawn[options.cache] = last.canvas[:-1]


@torch.inference_mode()
def filled(net: VLM, text: list[int], steps: int, slots: int) -> None:
    """Make the forward passes of the published code: two rows of one length, what fills them up masked."""
    layouts = layouts_of(net)
    rows = [layouts.draw_row(ids, [net.config.denoiser.mask_id] * slots, ROOM) for ids in (text, [])]
    real = torch.tensor([row.attended for row in rows])
    mask, x = (real[:, :, None] & real[:, None])[:, None], net.denoiser.embed(torch.tensor([row.ids for row in rows]))
    for _ in range(steps):
        hidden = net.denoiser(x, mask=mask)[:, -slots - 1 : -1]
        net.denoiser.head(hidden, slice(*layouts.codes.span)).float().softmax(-1)


def main() -> None:
    options = parser(__doc__, rounds=5, seconds=150)
    options.add_argument("--codes", type=int, default=256, help="of the picture")
    options.add_argument("--steps", type=int, default=4)
    args = options.parse_args()
    torch.set_num_threads(args.threads or 1)
    net = net_of(SMALL, FEW) if args.small else net_of(MIDDLE, CODES)
    slots, lengths = (16, (4, 8)) if args.small else (args.codes, LENGTHS)
    env, chosen = environment(), DrawOptions(steps=args.steps, guidance=3.5)
    drawn: dict[int, dict[str, Tensor]] = {n: {} for n in lengths}
    arms = {}
    for n in lengths:
        text = torch.randint(net.config.codes.first_id, (n,), generator=torch.Generator().manual_seed(n)).tolist()
        for cache in ("none", "block", "prefix"):
            arms[cache, n] = partial(draw, net, text, replace(chosen, cache=cache), slots, drawn[n])
        arms["filled", n] = partial(filled, net, text, args.steps, slots)
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    rows = tuple(
        Row(
            series=cache,
            x=n,
            values=tuple(values),
            ratios=faster(values, found["none", n]),
            facts={"same codes": float((drawn[n][cache] == drawn[n]["none"]).float().mean())}
            if cache in drawn[n]
            else {},
        )
        for (cache, n), values in found.items()
    )
    report = Report(
        name="drawing",
        title=f"Seconds of {slots} codes in {args.steps} steps with guidance, {parameters(net) / 1e6:.0f} M weights",
        x="tokens of the description",
        y="s",
        base="both prompts at every step, without filling",
        rows=rows,
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
