"""Run on our models what the documentation of transformers and of peft shows for other models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, pipeline

import lavida.hf  # noqa: F401  registers the classes
from lavida.errors import RequestError
from lavida.hf import LavidaForMaskedDiffusion, LavidaProcessor
from tests.pictures import gradient

KINDS = ("lavida-llada", "llada-v", "llada")


def dialogue(question: str, picture: Image.Image | None) -> list[dict[str, Any]]:
    shown = [] if picture is None else [{"type": "image", "image": picture}]
    return [{"role": "user", "content": [*shown, {"type": "text", "text": question}]}]


def new_text(output: dict[str, Any]) -> str:
    return output["generated_text"][-1]["content"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_answers_as_lavida_does(kind: str, random_folders: dict[str, Path]) -> None:
    folder = random_folders[kind]
    picture = None if kind == "llada" else gradient(60)
    asked = [dialogue(question, picture) for question in ("What is this?", "Why on earth is that?")]
    pipe = pipeline("image-text-to-text", model=str(folder), dtype="float32")
    answers = [new_text(output) for [output] in pipe(text=asked, max_new_tokens=6)]
    model = lavida.load(folder, dtype="float32")
    wanted = [model.ask(picture, question, length=6).ids for question in ("What is this?", "Why on earth is that?")]
    tokenizer = pipe.processor.tokenizer
    assert [text.strip() for text in answers] == [
        tokenizer.decode(list(ids), skip_special_tokens=True).strip() for ids in wanted
    ]


def test_a_pipeline_takes_pictures_and_texts(random_folders: dict[str, Path], photo: Path) -> None:
    folder = random_folders["lavida-llada"]
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, torch_dtype="float32")
    pipe = pipeline("image-text-to-text", model=model, processor=processor)
    [output] = pipe(images=str(photo), text="<image> What?", max_new_tokens=4)
    assert output["generated_text"].startswith("<image> What?")
    [short] = pipe(images=str(photo), text="<image> What?", max_new_tokens=4, return_full_text=False)
    assert output["generated_text"] == "<image> What?" + short["generated_text"]
    [plain] = pipe(text=dialogue("What?", gradient(50)))  # the family's length, not the 256 tokens of pipelines
    ids = pipe(text=dialogue("What?", gradient(50)), return_tensors=True)[0]["generated_token_ids"]
    prompt = processor.apply_chat_template(dialogue("What?", gradient(50)), tokenize=True)
    assert len(ids) == prompt.shape[1] + 64 and isinstance(new_text(plain), str)


def test_the_documented_way_to_answer_a_batch(random_folders: dict[str, Path]) -> None:
    folder = random_folders["lavida-llada"]
    processor: LavidaProcessor = AutoProcessor.from_pretrained(folder, use_fast=True)
    model = AutoModelForImageTextToText.from_pretrained(
        folder, dtype=torch.float32, device_map="cpu", attn_implementation="sdpa", low_cpu_mem_usage=True
    )
    batch = [dialogue("What?", gradient(50)), dialogue("And what is this here?", gradient(70))]
    inputs = processor.apply_chat_template(
        batch, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt", padding=True
    ).to(model.device, dtype=model.dtype)
    output = model.generate(**inputs, max_new_tokens=5)
    trimmed = [row[len(prompt) :] for prompt, row in zip(inputs["input_ids"], output, strict=True)]
    texts = processor.batch_decode(trimmed, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    for one, text in zip(batch, texts, strict=True):
        alone = processor.apply_chat_template(one, tokenize=True, return_dict=True)
        row = model.generate(**alone, max_new_tokens=5)[0, alone["input_ids"].shape[1] :]
        assert processor.decode(row, skip_special_tokens=True) == text


def test_the_processor_takes_the_common_arguments(random_folders: dict[str, Path]) -> None:
    processor: LavidaProcessor = AutoProcessor.from_pretrained(random_folders["lavida-llada"])
    texts, pictures = ["<image> a", "<image> b and more"], [gradient(40), gradient(60)]
    plain = processor(text=texts, images=pictures)
    for given in (
        {"padding": True},
        {"padding": "longest", "truncation": False, "max_length": None},
        {"text_kwargs": {"padding": True, "add_special_tokens": False}, "images_kwargs": {}},
    ):
        same = processor(text=texts, images=[[one] for one in pictures], return_tensors="pt", **given)
        assert all(torch.equal(same[name], plain[name]) for name in plain)
    for given, words in (
        ({"padding": "max_length"}, "padding='max_length' is not possible"),
        ({"truncation": True}, "truncation=True is not possible"),
        ({"return_tensors": "np"}, "return_tensors='np' is not possible"),
        ({"paddding": True}, "no argument 'paddding'"),
        ({"text_kwargs": {"max_length": 5}}, "max_length=5 is not possible"),
    ):
        with pytest.raises(RequestError, match=words):
            processor(text=texts, images=pictures, **given)


@pytest.fixture
def adapter(random_folders: dict[str, Path], tmp_path: Path) -> Path:
    """Adapters of lavida's own training, which change the answers."""
    pytest.importorskip("peft")
    from lavida.checkpoint.named import load_net
    from lavida.train.lora import Lora, add_adapters, save_adapters

    adapted = add_adapters(load_net(random_folders["lavida-llada"], dtype=torch.float32), Lora(rank=2))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator)
    save_adapters(adapted, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_peft_loads_our_adapters_on_our_transformers_model(adapter: Path, random_folders: dict[str, Path]) -> None:
    from peft import PeftModel

    from lavida.checkpoint.named import load_net
    from lavida.train.lora import load_adapters, merge_adapters

    folder = random_folders["lavida-llada"]
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor.apply_chat_template(dialogue("What?", gradient(50)), tokenize=True, return_dict=True)
    base = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    before = base.generate(**inputs, max_new_tokens=8)
    adapted = PeftModel.from_pretrained(base, str(adapter))
    output = adapted.generate(**inputs, max_new_tokens=8)
    net = merge_adapters(load_adapters(load_net(folder, dtype=torch.float32), adapter))
    merged = LavidaForMaskedDiffusion(base.config, net=net, tokenizer=base.tokenizer).eval()
    assert torch.equal(output, merged.generate(**inputs, max_new_tokens=8))
    assert not torch.equal(output, before)
    assert torch.equal(adapted.merge_and_unload().generate(**inputs, max_new_tokens=8), output)


def test_peft_adapts_our_transformers_model(random_folders: dict[str, Path], tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    folder = random_folders["lavida-llada"]
    base = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    config = peft.LoraConfig(r=2, target_modules=["q", "v"], task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = peft.get_peft_model(base, config)
    adapted.save_pretrained(tmp_path)
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor.apply_chat_template(dialogue("What?", gradient(50)), tokenize=True, return_dict=True)
    again = peft.PeftModel.from_pretrained(
        AutoModelForImageTextToText.from_pretrained(folder, dtype="float32"), str(tmp_path)
    )
    wanted = adapted.eval().generate(**inputs, max_new_tokens=6)
    assert torch.equal(again.generate(**inputs, max_new_tokens=6), wanted)
