"""`generate`: strict options, rows as if alone, streamers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoProcessor, BatchFeature, GenerationConfig, TextStreamer

from lavida.decode.score import Query
from lavida.errors import RequestError
from lavida.hf import DiffusionGenerationConfig, LavidaForMaskedDiffusion, LavidaProcessor
from tests.loops import answer_logits
from tests.pictures import gradient

FEW = {"length": 8, "steps": 4, "return_dict_in_generate": True}
OUTPUT = {"return_dict_in_generate": True}


@pytest.fixture(scope="module")
def processor(random_folders: dict[str, Path]) -> LavidaProcessor:
    return AutoProcessor.from_pretrained(random_folders["lavida-llada"])


@pytest.fixture(scope="module")
def model(random_folders: dict[str, Path]) -> LavidaForMaskedDiffusion:
    return LavidaForMaskedDiffusion.from_pretrained(random_folders["lavida-llada"], dtype="float32")


def row(text: str, *sizes: int) -> list[dict]:
    shown = [{"type": "image", "image": gradient(size)} for size in sizes]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": text}]}]


def inputs_of(processor: LavidaProcessor, dialogue: list) -> BatchFeature:
    return processor.apply_chat_template(dialogue, tokenize=True, return_dict=True)


@pytest.fixture(scope="module")
def inputs(processor: LavidaProcessor) -> BatchFeature:
    return inputs_of(processor, row("What is this?", 70))


class Recorder:
    """A streamer that only remembers."""

    def __init__(self) -> None:
        self.told: list[Tensor] = []
        self.ended = 0

    def put(self, value: Tensor) -> None:
        assert not self.ended
        self.told.append(value)

    def end(self) -> None:
        self.ended += 1


class Drafts(Recorder):
    """One that shows drafts as well."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts: list[Tensor] = []

    def put_draft(self, value: Tensor) -> None:
        self.drafts.append(value.clone())


def test_rows_of_a_batch_are_answered_as_if_alone(model: LavidaForMaskedDiffusion, processor: LavidaProcessor) -> None:
    rows = [row("What is this, and why?", 70), row("Why?"), row("What differs?", 40, 90), row("And this?", 90)]
    options = {**FEW, "temperature": 1.0, "seed": 3}
    together = model.generate(**inputs_of(processor, rows), **options)
    alone = [model.generate(**inputs_of(processor, one), **options) for one in rows]
    assert [s[-8:].tolist() for s in together.sequences] == [one.sequences[0, -8:].tolist() for one in alone]
    assert len({tuple(one.sequences[0, -8:].tolist()) for one in alone}) > 1
    assert together.steps.tolist() == [one.steps.item() for one in alone]
    assert together.tokens_per_forward.tolist() == [one.tokens_per_forward.item() for one in alone]


def test_a_streamer_gets_the_text_as_it_is_committed(model: LavidaForMaskedDiffusion, inputs: BatchFeature) -> None:
    streamer = Recorder()
    output = model.generate(**inputs, **FEW, block=2, streamer=streamer)
    prompt, *pieces = streamer.told
    assert prompt.tolist() == [i for i in inputs["input_ids"][0].tolist() if i >= 0]
    assert torch.cat(pieces).tolist() == output.sequences[0, -8:].tolist()
    assert len(pieces) == 4 and streamer.ended == 1  # block by block, from the left


def test_a_streamer_gets_a_revised_text_when_it_is_finished(
    model: LavidaForMaskedDiffusion, inputs: BatchFeature
) -> None:
    streamer = Recorder()
    output = model.generate(**inputs, **FEW, block=2, revise=1.0, streamer=streamer)
    _, *pieces = streamer.told
    assert [piece.tolist() for piece in pieces] == [output.sequences[0, -8:].tolist()] and streamer.ended == 1
    assert output.steps.item() > 4


def test_a_streamer_of_drafts_sees_every_canvas(model: LavidaForMaskedDiffusion, inputs: BatchFeature) -> None:
    streamer, mask = Drafts(), model.config.vlm.denoiser.mask_id
    output = model.generate(**inputs, **FEW, streamer=streamer)
    assert len(streamer.drafts) == output.steps.item() and all(len(draft) == 8 for draft in streamer.drafts)
    opened = [(draft == mask).sum().item() for draft in streamer.drafts]
    assert opened == sorted(opened, reverse=True) and opened[0] > 0 == opened[-1]
    _, text = streamer.told
    assert text.tolist() == output.sequences[0, -8:].tolist() and streamer.ended == 1


def test_the_streamers_of_transformers_print_the_answer(
    model: LavidaForMaskedDiffusion,
    processor: LavidaProcessor,
    inputs: BatchFeature,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = model.generate(**inputs, **FEW, streamer=TextStreamer(processor.tokenizer, skip_prompt=True))
    assert capsys.readouterr().out.strip() == processor.decode(output.sequences[0, -8:]).strip()


def test_options_come_from_the_call_the_configuration_or_the_family(
    model: LavidaForMaskedDiffusion, inputs: BatchFeature
) -> None:
    config = DiffusionGenerationConfig(length=12, steps=3)
    assert model.generate(**inputs, generation_config=config, **OUTPUT).steps.tolist() == [3]
    output = model.generate(**inputs, generation_config=config, steps=2, **OUTPUT)
    assert output.steps.tolist() == [2] and output.sequences.shape[1] == inputs["input_ids"].shape[1] + 12
    assert config.steps == 3  # the call does not change it
    model.generation_config.length = 5
    try:
        assert model.generate(**inputs, **OUTPUT).sequences.shape[1] == inputs["input_ids"].shape[1] + 5
    finally:
        model.generation_config.length = None
    assert (
        model.generate(**inputs, steps=1, **OUTPUT).sequences.shape[1] == inputs["input_ids"].shape[1] + 64
    )  # the family's


def test_a_configuration_reloads_and_knows_only_its_fields(tmp_path: Path) -> None:
    config = DiffusionGenerationConfig(length=12, schedule="even", stops=((1, 2),))
    config.save_pretrained(tmp_path)
    again = DiffusionGenerationConfig.from_pretrained(tmp_path)
    assert again.length == 12 and again.schedule == "even" and again.to_dict().keys() == config.to_dict().keys()
    assert config != DiffusionGenerationConfig() and "length=12" in repr(config)
    with pytest.raises(AttributeError):
        config.num_beams = 4
    GenerationConfig(max_new_tokens=5).save_pretrained(tmp_path)
    assert DiffusionGenerationConfig.from_pretrained(tmp_path).to_dict() == {"length": 5}
    GenerationConfig(num_beams=5).save_pretrained(tmp_path)
    with pytest.raises(RequestError, match="num_beams=5 is not possible"):
        DiffusionGenerationConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_new_tokens": 4, "length": 8}, "length 8 and max_new_tokens 4 are the same"),
        ({"num_beams": 4}, "num_beams=4 is not possible"),
        ({"max_length": 64}, "max_length=64 is not possible"),
        ({"repetition_penalty": 1.2}, "repetition_penalty=1.2 is not possible"),
        ({"use_cache": 3}, "use_cache=3 is not possible"),
        ({"gen_length": 4}, "did you mean length?"),
        ({"max_new_token": 4}, "unknown option 'max_new_token'"),
        ({"length": 0}, "length must be 1"),
        ({"steps": 9, "length": 8}, "steps must be"),
        ({"schedule": "zigzag"}, "unknown schedule"),
        ({"generation_config": {"length": 4}}, "is a dict"),
    ],
)
def test_arguments_are_refused_in_one_line(
    given: dict[str, Any], words: str, model: LavidaForMaskedDiffusion, inputs: BatchFeature
) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        model.generate(**inputs, **given)
    assert "\n" not in str(caught.value)


def test_inputs_that_do_not_fit_are_refused(model: LavidaForMaskedDiffusion, inputs: BatchFeature) -> None:
    ids, pixels, grids = inputs["input_ids"], inputs["pixel_values"], inputs["image_grids"]
    wrong = [
        ({"input_ids": ids}, "1 places for a picture and 0"),
        ({"input_ids": ids, "pixel_values": pixels}, "go together"),
        ({"input_ids": ids, "pixel_values": pixels[:1], "image_grids": grids}, "holds 1"),
        ({"input_ids": ids[0]}, r"must be \[B, P\]"),
        ({"input_ids": ids, "attention_mask": torch.ones(1, 2)}, r"must be \[B, P\]"),
        ({"input_ids": ids.repeat(2, 1), "streamer": Recorder()}, "follows one row"),
    ]
    for given, words in wrong:
        with pytest.raises(RequestError, match=words):
            model.generate(**given, **FEW)


def test_forward_gives_the_logits_that_the_loop_sees(
    model: LavidaForMaskedDiffusion, processor: LavidaProcessor
) -> None:
    batch = inputs_of(processor, [row("Why?"), row("Why on earth?")])
    canvas = torch.full((2, 5), model.config.vlm.denoiser.mask_id)
    with torch.no_grad():
        logits = model(**batch, canvas=canvas).logits
    assert logits.shape == (2, 5, model.config.vlm.denoiser.vocab_size)
    prompt = batch["input_ids"][0][batch["attention_mask"][0].bool()]
    look = Query(ids=canvas[0], rows=torch.arange(5), block=slice(0, 5), refresh=True)
    with torch.no_grad():
        wanted = answer_logits(model.net, model.net.segments(prompt, []), "none")(look)
    assert torch.allclose(logits[0], wanted, atol=1e-5)


def test_generate_takes_what_any_model_takes(model: LavidaForMaskedDiffusion, inputs: BatchFeature) -> None:
    options = {"length": 8, "temperature": 0.0}
    wanted = model.generate(**inputs, **options)
    assert isinstance(wanted, Tensor)  # without return_dict_in_generate, as any model
    given = {
        "max_new_tokens": 8, "do_sample": False, "num_beams": 1, "use_cache": True, "pad_token_id": 3,
        "repetition_penalty": 1.0, "output_scores": False, "top_k": 50,
    }  # fmt: skip
    assert torch.equal(model.generate(**inputs, **given), wanted)
    config = GenerationConfig(max_new_tokens=8, do_sample=False, return_dict_in_generate=True)
    assert torch.equal(model.generate(**inputs, generation_config=config).sequences, wanted)
    assert torch.equal(model.generate(**inputs, generation_config=config, return_dict_in_generate=False), wanted)
    sampled = [model.generate(**inputs, max_new_tokens=8, do_sample=True, seed=seed) for seed in range(4)]
    assert len({tuple(row[0].tolist()) for row in sampled}) > 1
    assert torch.equal(sampled[0], model.generate(**inputs, length=8, temperature=1.0, seed=0))
