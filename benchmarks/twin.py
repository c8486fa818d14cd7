"""An answer of ours against one of the autoregressive twin, from the opened picture to the text.

    python -m mini train --objective ar --out runs/twin
    python -m benchmarks.twin --twin runs/twin/model
    python -m benchmarks.twin --twin runs/twin/model --data build/mini     # with CIDEr-D of each arm

The twin writes by its own cache of keys, in our loop and, as a second witness, in the `generate` of transformers: its
blocks are those of Llama, so its weights are given to that class and the texts are compared. Every arm looks at the
picture anew, and writes a caption, of some 7 tokens, and a detailed one, of some 19. With --data, pictures and captions
are those of held-out scenes (split i), which no setting was tuned on; without, only the times are printed, over the
demo's picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import LlamaConfig, LlamaForCausalLM

import lavida
from benchmarks.harness import PHOTO, environment, faster, finish, interleave, parser
from benchmarks.report import Report, Row
from lavida.config import DenoiserConfig
from lavida.decode.resolve import LENGTH
from lavida.model.denoiser import Denoiser
from lavida.text.chat import prompt_ids
from lavida.text.messages import Part, question_turns
from mini.data.atlas import Atlas
from mini.data.questions import prompt_of
from mini.eval.calibration import captions_of
from mini.eval.splits import SPLITS, pictures, split_features

SPLIT = "i"
PICTURES = 4  # whose answers are timed
CAPTIONS = 60  # whose CIDEr-D is computed
LENGTHS = {"caption": LENGTH, "detailed": 40}  # of the canvas, by what is asked for
_RULES: dict[str, dict[str, Any]] = {f"threshold {t:g}": {"threshold": t} for t in (0.9, 0.7, 0.5)}
ARMS = {
    "caption": {**{f"{n} steps": {"steps": n} for n in (16, 8, 4, 2, 1)}, **_RULES},
    "detailed": {**{f"{n} steps": {"steps": n} for n in (16, 8)}, **_RULES},
}
_WHOLE = {
    "embedding": "model.embed_tokens",
    "norm": "model.norm",
    "unembedding": "lm_head",
}
_PARTS = {
    "attn_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "attn.out": "self_attn.o_proj",
    **{f"attn.{part}": f"self_attn.{part}_proj" for part in "qkv"},
    **{f"mlp.{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
}


def llama_name(name: str) -> str:
    """Return the name in transformers of a tensor of our denoiser."""
    part, _, kind = name.rpartition(".")
    if part in _WHOLE:
        return f"{_WHOLE[part]}.{kind}"
    _, layer, part = part.split(".", 2)
    return f"model.layers.{layer}.{_PARTS[part]}.{kind}"


def as_llama(denoiser: Denoiser) -> LlamaForCausalLM:
    """Return the same weights as a model of transformers."""
    config: DenoiserConfig = denoiser.config
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.mlp_size,
            num_hidden_layers=config.n_layers,
            num_attention_heads=config.n_heads,
            num_key_value_heads=config.n_kv_heads,
            max_position_embeddings=config.max_length,
            rms_norm_eps=config.norm_eps,
            rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
            tie_word_embeddings=config.tied_head,
        )
    )
    weights = {llama_name(name): tensor for name, tensor in denoiser.state_dict().items()}
    missing, unexpected = llama.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    llama.tie_weights()
    return llama.to(denoiser.embedding.weight).eval()


@torch.inference_mode()
def generate(model: lavida.Model, llama: LlamaForCausalLM, kind: str, picture: Image.Image) -> str:
    """Write a caption by transformers, behind the same prompt."""
    model.forget()
    turns = question_turns(prompt_of(kind), [Part(kind="image", value=picture)])
    ids = torch.tensor(prompt_ids(turns, model.template, model.tokenizer))
    image = model.reader.images.encode(picture, model.net.config.tiles)
    x, ends = (
        torch.cat(model.reader.read(ids, [image], cache="none").segments, 1),
        list(model.net.config.denoiser.eos_ids),
    )
    mask = torch.ones(x.shape[:2], dtype=torch.long)
    written = llama.generate(
        inputs_embeds=x, attention_mask=mask, max_new_tokens=LENGTHS[kind], do_sample=False, eos_token_id=ends,
        pad_token_id=ends[0],
    )[0]  # fmt: skip
    return model.tokenizer.decode(i for i in written.tolist() if i not in ends)


def describe(model: lavida.Model, kind: str, options: dict[str, Any], picture: Image.Image) -> str:
    model.forget()
    return model.ask(picture, prompt_of(kind), length=LENGTHS[kind], **options).text


def over(once: Callable[[Image.Image], str], shown: Sequence[Image.Image]) -> None:
    """One arm's turn: an answer about every picture."""
    for picture in shown:
        once(picture)


def shown_pictures(args: argparse.Namespace) -> list[Image.Image]:
    if args.data is None:
        return [Image.open(PHOTO).convert("RGB")]
    drawn = islice(pictures(Atlas.load(args.data), SPLITS[SPLIT]), PICTURES)
    return [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels, _, _ in drawn]


def qualities(
    models: dict[str, lavida.Model], args: argparse.Namespace
) -> dict[tuple[str, str, str], dict[str, float]]:
    """CIDEr-D, passes and tokens per pass of every arm."""
    if args.data is None:
        return {}
    found = {}
    for who, model in models.items():
        features = args.data / "features" / SPLIT
        held = split_features(Atlas.load(args.data), features, SPLITS[SPLIT], model.net.tower)
        for kind, length in LENGTHS.items():
            exam = captions_of(model, held, min(len(held), CAPTIONS), kind)
            for arm, options in (ARMS[kind] if who == "ours" else {"our loop": {}}).items():
                written = list(exam.answers({"length": length, **options}))
                passes = sum(one.passes for one in written)
                found[kind, who, arm] = {
                    "CIDEr-D": exam.judge([one.text for one in written]),
                    "passes": passes / len(written),
                    "tokens/pass": sum(one.tokens for one in written) / passes,
                }
    return found


def main() -> None:
    options = parser(__doc__, seconds=120)
    options.add_argument("--twin", type=Path, required=True, help="folder of the autoregressive model")
    options.add_argument("--data", type=Path, help="what `python -m mini build` made")
    args = options.parse_args()
    ours, twin = lavida.load(args.model, threads=args.threads), lavida.load(args.twin)
    if not twin.net.config.denoiser.autoregressive:
        raise SystemExit(f"{args.twin} writes by diffusion; make a twin with `python -m mini train --objective ar`")
    llama, shown = as_llama(twin.net.denoiser), shown_pictures(args)
    env = environment()
    arms: dict[tuple[str, str, str], Callable[[Image.Image], str]] = {}
    for kind, chosen in ARMS.items():
        arms[kind, "twin", "our loop"] = partial(describe, twin, kind, {})
        arms[kind, "twin", "transformers"] = partial(generate, twin, llama, kind)
        for arm, given in list(chosen.items())[-2 * args.small :]:
            arms[kind, "ours", arm] = partial(describe, ours, kind, given)
    both = [[arms[kind, "twin", arm](one) for arm in ("our loop", "transformers")] for kind in ARMS for one in shown]
    same = sum(loop == witness for loop, witness in both)
    found = interleave(
        {key: partial(over, once, shown) for key, once in arms.items()}, rounds=args.rounds, seconds=args.seconds
    )
    seconds = {key: tuple(taken / len(shown) for taken in values) for key, values in found.items()}
    scores = qualities({"twin": twin, "ours": ours}, args)
    rows = tuple(
        Row(
            series=f"{kind}, {who}",
            x=arm,
            values=values,
            ratios=faster(values, seconds[kind, "twin", "our loop"]),
            facts=scores.get((kind, who, arm), {}),
        )
        for (kind, who, arm), values in seconds.items()
    )
    report = Report(
        name="twin",
        title=f"Seconds of a caption, {len(shown)} pictures, encoder and prompt included",
        x="",
        y="s",
        base="the autoregressive twin in our loop, asked the same",
        rows=rows,
        notes=(f"transformers wrote what our loop wrote {same} times of {len(both)}",),
    )
    finish(report, args.out, env)


if __name__ == "__main__":
    main()
