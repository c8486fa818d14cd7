"""The stages of the papers as data: parts that learn, objective, data, length.

Where paper and published scripts disagree, the scripts are followed, since they made the published models; `notes` says
so at each place. Other values: `replace(RECIPES["finetune"], epochs=1)`, or an option of `lavida train`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace

from lavida.data.rules import RULES, SampleRule
from lavida.diffusion.objective import Objective
from lavida.errors import ConfigError, RequestError
from lavida.train.mixed import Mixed


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Learning rates of the parts; 0 = frozen. The newline vector and cell positions go with the projector."""

    denoiser: float = 0.0
    projector: float = 0.0
    tower: float = 0.0

    def __post_init__(self) -> None:
        values = asdict(self)
        bad = next((f"{name} = {value}" for name, value in values.items() if not 0 <= value < 1), None)
        if bad or not any(values.values()):
            raise ConfigError(f"rates lie between 0 and 1 and at least one part learns, got {bad or 'none that does'}")

    def frozen(self, parts: Collection[str]) -> Rates:
        """Return the rates without these parts. Raises RequestError for an unknown one."""
        values = asdict(self)
        wrong = next((part for part in parts if part not in values), None)
        if wrong is not None:
            raise RequestError(f"unknown part {wrong!r}; choose from denoiser, projector, tower")
        return replace(self, **dict.fromkeys(parts, 0.0))

    def scaled(self, rate: float) -> Rates:
        """Return the same ratios with the largest rate at `rate`."""
        factor = rate / max(self.denoiser, self.projector, self.tower)
        return Rates(denoiser=self.denoiser * factor, projector=self.projector * factor, tower=self.tower * factor)


@dataclass(frozen=True, kw_only=True)
class Portion:
    """One ingredient of a mixture. A file given by the user whose name is `name` is taken as this says."""

    name: str
    take: int | None = None  # so many of its samples, drawn at random; None = all
    of: int | None = None  # how many it has
    suffix: str = ""  # behind questions, as far as `suffix_share` goes
    suffix_share: float = 1.0


OWN_CANVAS = SampleRule(end_padding=None)  # a model's own canvas, which is neither cut nor padded


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One stage of training."""

    name: str
    rates: Rates
    rule: SampleRule = field(default_factory=SampleRule)
    objective: Objective = field(default_factory=Objective)
    batch: int  # samples of an update, over all processes
    epochs: float = 1.0
    steps: int | None = None  # instead of epochs
    warmup: float = 0.03  # share of the steps
    floor: float = 0.0  # share of the rates that is left at the end
    weight_decay: float = 0.0
    mixed: Mixed | None = None  # pictures to draw, pictures shown and texts, instead of `objective`
    max_length: int | None = None  # tokens of a sample; None: what the model holds
    grouped: bool = True  # samples of like length together
    one_view: bool = False  # pictures as one square view, every cell a token, as the first stages do
    own_answers: bool = False  # the model's own answers, with their trajectories, stand in place of the data's
    mixture: tuple[Portion, ...] = ()  # what the published model was trained on
    notes: tuple[str, ...] = ()  # where paper and scripts disagree

    def __post_init__(self) -> None:
        if self.batch < 1 or not 0 < self.epochs < math.inf or (self.steps is not None and self.steps < 1):
            raise ConfigError(f"recipe {self.name}: batch and steps must be at least 1 and epochs above 0")
        if not (0 <= self.warmup < 1 and 0 <= self.floor <= 1):
            raise ConfigError(f"recipe {self.name}: warmup and floor are shares, 0 to 1")
        if self.own_answers != (self.objective.masking == "trajectory"):
            raise ConfigError(f'recipe {self.name}: own answers go with masking "trajectory", and only with it')
        if self.own_answers and self.rule != OWN_CANVAS:
            raise ConfigError(f"recipe {self.name} learns whole canvases of the model's own; leave out --rule")


_RATE = "the paper says 5e-3 for all runs; the scripts have 1e-3 for stage 1, then 2e-5 and 2e-6 for the tower"
_WEIGHT = "the paper weighs by 1/t; the code takes the plain mean over masked tokens"
_HISTORY = (
    "the paper keeps the dialogue so far as the prompt; the code draws one pair and drops it (rule lavida); "
    "here every answer is learnt with its history"
)
# The scripts' stage-2 file; VQAv2, DocVQA and DVQA are drawn at random.
_LAVIDA_MIX = (
    Portion(name="mix1m"),
    Portion(name="vqav2", take=50_000, of=443_757),
    Portion(name="chartqa", of=39_106),
    Portion(name="docvqa", take=40_000, of=78_922),
    Portion(name="dvqa", take=40_000, of=116_159),
    Portion(name="textvqa", of=34_602),
    Portion(name="infovqa"),
)


_ALIGN = Recipe(
    name="align",
    rates=Rates(projector=1e-3),
    rule=RULES["lavida-plain"],
    batch=256,
    max_length=8192,
    grouped=False,
    one_view=True,
    mixture=(Portion(name="blip_laion_cc_sbu_558k", of=558_128),),
    notes=(_RATE, _WEIGHT),
)
_FINETUNE = Recipe(
    name="finetune",
    rates=Rates(denoiser=2e-5, projector=2e-5, tower=2e-6),
    batch=128,
    epochs=2,
    floor=0.1,
    max_length=4096,
    mixture=_LAVIDA_MIX,
    notes=(
        _RATE,
        _WEIGHT,
        _HISTORY,
        "the paper says batch 512 in one sentence and 128 in the next; the scripts make 128",
        "the paper's table 5 lists another composition (COCO 349,860, ALLaVA-VFLAN 202,966, ...) than the scripts",
    ),
)
# Answers with gaps that end in a token which is never masked.
_FIM = replace(
    _FINETUNE,
    name="fim",
    rule=replace(RULES["dialogue"], gaps=0.8),
    steps=1560,
    mixture=(Portion(name="mix1m"),),
    notes=(_RATE, _WEIGHT, _HISTORY, "the paper says a fifth of the data; the script stops at 1560 steps of 128"),
)
# Chains of thought whose answer was right, on long canvases.
_REASON = replace(
    _FINETUNE,
    name="reason",
    epochs=5,
    rule=replace(RULES["dialogue"], end_padding=1024),
    mixture=(Portion(name="virl39k-cot", of=19_200),),
    notes=(
        _RATE,
        _WEIGHT,
        "there is no published script: the values are stage 2's; 5 epochs of 19.2 K chains of VL-Rethinker-7B are "
        "the paper's, which keeps the epoch that is best on MathVision's testmini and answers in 1024 tokens",
    ),
)
# The baseline: the same network under a causal mask with next-token loss, on the data of `finetune`.
_AR = replace(
    _FINETUNE,
    name="ar",
    objective=Objective(attention="causal", autoregressive=True),
    rule=replace(RULES["dialogue"], end_padding=None),
    notes=("ours: the papers compare with models that others trained on other data",),
)
# A few hundred pictures of the user, for lavida-mini or another small model.
_TUNE = Recipe(
    name="tune",
    rates=Rates(denoiser=2e-4, projector=1e-4),
    rule=replace(RULES["dialogue"], end_padding=16),
    objective=Objective(attention="prefix"),
    batch=16,
    epochs=12,
    grouped=False,  # of a small set, a window of like lengths would hold several epochs
    warmup=0.05,
    floor=0.05,
    notes=("ours",),
)
# Certainty-forcing distillation (dParallel, arXiv 2509.26488): the model's own answers, certain early and in parallel.
_FEW_STEPS = Recipe(
    name="few-steps",
    rates=Rates(denoiser=2e-5),
    rule=OWN_CANVAS,
    objective=Objective(complementary=False, masking="trajectory", blank=0.5, certainty=2.0, certainty_temperature=0.5),
    batch=16,
    epochs=6,
    warmup=0.05,
    own_answers=True,
    notes=(
        "the paper's code masks half of a block at random, twice complementarily; here the masks are those of a moment "
        "of the trajectory, and half of the copies are masked wholly, since an answer in one pass begins there",
        "the code divides the entropy by the number of right tokens; here by that of masked tokens",
        "the code weighs certainty by 2 for LLaDA and by 1 for Dream, over 6 and 3 epochs in batches of 8, with LoRA",
        "attention is that of decoding: of the Prefix-DLM mask where the prompt is kept in a cache, full otherwise",
    ),
)
_LLADA_V = Objective(weighting="1/t", complementary=False)
_MAMMOTH_OV, _WEB = Portion(name="mammoth-vl-ov-2m"), Portion(name="visualwebinstruct", of=900_000)
_LLADA_V_ALIGN = replace(
    _ALIGN, name="llada-v-align", objective=_LLADA_V, rule=RULES["llada-v-plain"], batch=64, notes=()
)
_LLADA_V_SINGLE = Recipe(
    name="llada-v-single",
    rates=Rates(denoiser=1e-5, projector=1e-5, tower=2e-6),
    rule=RULES["llada-v"],
    objective=_LLADA_V,
    batch=256,
    max_length=8192,
    mixture=(Portion(name="mammoth-vl-si-10m", of=10_000_000),),
    notes=(
        "the published trainer shows a dialogue under one mask a visit; here under two drawn apart, its pictures once",
        "the paper learns the answers; the code also labels each structural token of the prompt (rule llada-v)",
        "the scripts attend in full; the paper's ablation by turns is Objective(attention='turns')",
    ),
)
_LLADA_V_ONEVISION = replace(_LLADA_V_SINGLE, name="llada-v-onevision", max_length=16384, mixture=(_MAMMOTH_OV,))
_LLADA_V_REASON = replace(_LLADA_V_SINGLE, name="llada-v-reason", mixture=(_WEB,))
# Reasoning on demand, by a word behind the question.
_LLADA_V_BALANCED = replace(
    _LLADA_V_ONEVISION,
    name="llada-v-balanced",
    mixture=(replace(_MAMMOTH_OV, suffix=" /no_think"), replace(_WEB, suffix=" /think", suffix_share=0.5)),
)
# Weights and rows in the order: pictures to draw, pictures shown, texts.
_MMADA_PRETRAIN = Recipe(
    name="mmada-pretrain",
    rates=Rates(denoiser=1e-4),
    rule=replace(RULES["dialogue"], end_padding=0, cut=True),
    mixed=Mixed(weights=(1.0, 1.0, 0.1), rows=(7, 6, 2), side=256),
    batch=30,
    floor=0.1,
    weight_decay=0.01,
    max_length=387,
    grouped=False,
    notes=(
        "the code masks the filling of a text softly, by a float bias; here it is not attended to at all",
        "the first two stages of the code learn plain texts, and of the texts of the last one 2 % are plain; here the "
        "data decide: an entry with `text` alone is learnt whole, of a dialogue without a picture the answers",
        "batch is that of one process; the code warms up over 5000 steps",
    ),
)
_MMADA_IMAGES = replace(
    _MMADA_PRETRAIN, name="mmada-images", rates=Rates(denoiser=5e-5), batch=24, max_length=515,
    mixed=Mixed(weights=(1.0, 0.5, 0.1), rows=(7, 3, 2), side=256),
)  # fmt: skip
_MMADA_INSTRUCT = replace(
    _MMADA_IMAGES, name="mmada-instruct", max_length=1539, mixed=Mixed(weights=(1.0, 0.5, 0.4), rows=(4, 1, 1)),
    notes=(*_MMADA_PRETRAIN.notes, "the code's file says 256 codes a picture, and its pictures have 1024"),
)  # fmt: skip
_MMADA_COT = replace(
    _MMADA_INSTRUCT, name="mmada-cot", batch=16, mixed=Mixed(weights=(0.05, 0.4, 0.6), rows=(1, 1, 2)),
    notes=_MMADA_PRETRAIN.notes,
)  # fmt: skip
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _ALIGN, _FINETUNE, _FIM, _REASON, _AR, _TUNE, _FEW_STEPS,
        _LLADA_V_ALIGN, _LLADA_V_SINGLE, _LLADA_V_ONEVISION, _LLADA_V_REASON, _LLADA_V_BALANCED,
        _MMADA_PRETRAIN, _MMADA_IMAGES, _MMADA_INSTRUCT, _MMADA_COT,
    )
}  # fmt: skip


def find_recipe(name: str) -> Recipe:
    """Return a recipe by name. Raises RequestError for an unknown one."""
    if name not in RECIPES:
        raise RequestError(f"unknown recipe {name!r}; choose one of {', '.join(('mini', *RECIPES))}")
    return RECIPES[name]
