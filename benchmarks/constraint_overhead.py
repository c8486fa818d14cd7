"""What holding an answer to a form costs, beside one pass of a model of LLaDA's size over the same canvas.

    python -m benchmarks.constraint_overhead
    python -m benchmarks.constraint_overhead --small        # a tiny network: does it run?

A canvas of 64 tokens behind 1,008 positions, a vocabulary of 126,464 made-up tokens, 16 steps of 4 tokens by random
logits: the worst case, as chosen tokens seldom go together. Timed is what the loop asks a constraint, `allowed` and
`commit`, by step. The pass is 32 times one layer of random weights, and the head on all rows.
"""

from __future__ import annotations

import random
import statistics
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import environment, faster, finish, interleave, parser
from benchmarks.nets import LLADA_VOCABULARY, SMALL, random_net, random_prompt
from benchmarks.report import Report, Row
from lavida.config import DenoiserConfig
from lavida.constrain.canvas import CanvasConstraint
from lavida.constrain.dfa import compile_term
from lavida.constrain.language import Texts, choice_language, regex_language, schema_language
from lavida.constrain.tokens import lift
from lavida.model.vlm import VLM
from lavida.text.spelling import Spelling

CANVAS, PROMPT, STEPS, LAYERS = 64, 1008, 16, 32
ONE_LAYER = DenoiserConfig(
    vocab_size=LLADA_VOCABULARY,
    d_model=4096,
    n_layers=1,
    n_heads=32,
    n_kv_heads=32,
    mlp_size=12288,
    mask_id=126336,
    eos_ids=(126081,),
    tied_head=True,
)
LIMIT = 0.15  # of a pass


def languages() -> dict[str, Texts]:
    """Return a choice, a sentence and two forms."""
    text: dict[str, Any] = {"type": "string", "maxLength": 40}
    number = {"type": "number", "minimum": 0, "maximum": 999}
    small = {
        "name": {"type": "string", "maxLength": 20},
        "count": {"type": "integer"},
        "kind": {"enum": ["cat", "dog"]},
    }
    large = {**{f"field {i}": text for i in range(4)}, "total": number}
    return {
        "one of three choices": choice_language(["a red ball", "a cat", "two dogs on the grass"]),
        "a sentence": regex_language(r"[A-Z][a-z]+( [a-z]+){2,20}\."),
        "a form of 3 fields": schema_language({"type": "object", "properties": small, "required": list(small)}),
        "a form of 5 fields": schema_language({"type": "object", "properties": large}),
    }


def made_up(size: int, seed: int = 0) -> Spelling:
    """Words with and without a space, numbers, JSON's marks, letters of other scripts and pieces of them."""
    r = random.Random(seed)
    tokens = [bytes([byte]) for byte in range(256)]
    seen = set(tokens)
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    syllables = ["".join(r.choices(letters, range(26, 0, -1), k=r.choice((2, 2, 3)))) for _ in range(900)]
    makers = (
        (60, lambda: r.choice(("", " ", " ")).encode() + "".join(r.choices(syllables, k=r.randint(1, 4))).encode()),
        (10, lambda: "".join(r.choices(syllables, k=2)).capitalize().encode()),
        (5, lambda: "".join(r.choices("0123456789", k=r.randint(2, 3))).encode()),
        (5, lambda: "".join(r.choices("{}[]\":,. \n_-()=;'/\\<>", k=r.randint(2, 4))).encode()),
        (19, lambda: "".join(chr(r.randrange(0x4E00, 0x9FFF)) for _ in range(r.randint(1, 2))).encode()),
        (1, lambda: bytes(r.choices(range(128, 256), k=2))),
    )
    weights, draws = zip(*makers, strict=True)
    while len(tokens) < min(size, LLADA_VOCABULARY - 400):  # the last ids stand for special tokens
        token = r.choices(draws, weights)[0]()
        if token not in seen:
            seen.add(token)
            tokens.append(token)
    return Spelling.of(tokens + [b""] * (size - len(tokens)))


def held_step(constraint: CanvasConstraint, logits: Tensor, mask_id: int) -> float:
    """Seconds that the constraint takes in a step, on average over an answer."""
    ids, spent = torch.full((CANVAS,), mask_id), 0.0
    for _ in range(STEPS):
        rows = (ids == mask_id).nonzero().flatten()
        start = time.perf_counter()
        allowed = constraint.allowed(ids, rows)
        spent += time.perf_counter() - start
        scored = logits[rows].masked_fill(~allowed, -torch.inf)
        sure, candidates = scored.max(-1)
        chosen = sure.topk(CANVAS // STEPS).indices
        start = time.perf_counter()
        written = constraint.commit(ids, rows, candidates, chosen, scored)
        spent += time.perf_counter() - start
        ids[rows[chosen]] = written
    return spent / STEPS


@torch.inference_mode()
def model_pass(net: VLM, prefix: Tensor) -> float:
    """Seconds of a pass of LAYERS layers like the one of `net`, and of the head."""
    held = net.prefill([prefix])
    x = net.denoiser.embed(torch.full((1, CANVAS), net.config.denoiser.mask_id))
    start = time.perf_counter()
    hidden = net.denoiser(x, cache=held)
    middle = time.perf_counter()
    net.denoiser.head(hidden)
    return (middle - start) * LAYERS + time.perf_counter() - middle


def main() -> None:
    args = parser(__doc__, rounds=5, seconds=60).parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    denoiser = SMALL if args.small else ONE_LAYER
    net, spelling = random_net(denoiser, torch.bfloat16), made_up(denoiser.vocab_size)
    logits = torch.randn(CANVAS, denoiser.vocab_size, generator=torch.Generator().manual_seed(0))
    arms: dict[Any, Any] = {"pass": partial(model_pass, net, random_prompt(net, 20 if args.small else PROMPT))}
    facts: dict[str, dict[str, Any]] = {"pass": {}}
    for name, language in languages().items():
        start = time.perf_counter()
        automaton = lift(compile_term(language.term), spelling)
        compiled = time.perf_counter() - start
        constraint = CanvasConstraint(
            automaton, vocab_size=denoiser.vocab_size, mask_id=denoiser.mask_id, eos_ids=denoiser.eos_ids
        )
        arms[name] = partial(held_step, constraint, logits, denoiser.mask_id)
        facts[name] = {"states": len(automaton.final), "edges": len(automaton.source), "compiled in s": compiled}
    env = environment()
    found = interleave(arms, rounds=args.rounds, seconds=args.seconds)
    for name, values in found.items():
        facts[name]["share of a pass"] = statistics.median(a / b for a, b in zip(values, found["pass"], strict=True))
    rows = tuple(
        Row(series="step", x=name, values=tuple(values), ratios=faster(values, found["pass"]), facts=facts[name])
        for name, values in found.items()
    )
    report = Report(
        name="constraint_overhead",
        title=f"Seconds a step of a constraint, beside a pass of {LAYERS} layers, canvas {CANVAS}",
        x="what is held to",
        y="s",
        base="the pass",
        rows=rows,
        notes=(f"wanted: a share of {LIMIT:.0%} at most",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
