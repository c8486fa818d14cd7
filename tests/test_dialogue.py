"""Random checkpoints of all eight published kinds: loaded by folder, asked in every way that they understand."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

import lavida
from lavida.api import Model
from lavida.checkpoint.make_random import make_random
from lavida.errors import CheckpointError, ImageError, RequestError
from lavida.image.video import Video
from tests.pictures import gradient

SEES = {
    "lavida-llada": "lavida-llada",
    "lavida-dream": "lavida-dream",
    "lavida-fim": "lavida-llada",
    "lavida-reason": "lavida-llada",
    "lavida-lowres": "lavida-llada",
    "llada-v": "llada-v",
}
READS = {"llada": "llada", "dream": "dream"}
FEW = {"length": 6, "steps": 3}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    for kind in SEES | READS:
        make_random(kind, "tiny", root / kind)
    return {kind: root / kind for kind in SEES | READS}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Model]:
    return {kind: lavida.load(folder, dtype="float32") for kind, folder in folders.items()}


def picture(text: str = "What is this?", width: int = 64) -> dict:
    return {
        "role": "user",
        "content": [{"type": "image", "image": gradient(width)}, {"type": "text", "text": text}],
    }


@pytest.mark.parametrize("kind", SEES | READS)
def test_words_alone_are_answered_with_tokens_that_exist(kind: str, models: dict[str, Model]) -> None:
    model = models[kind]
    config = model.net.config
    assert config.family == (SEES | READS)[kind]
    answer = model.ask(None, "Who are you?", **FEW)
    assert len(answer.ids) == 6 and answer.image == ""
    assert all(i < model.tokenizer.size < config.denoiser.vocab_size for i in answer.ids)
    assert not {config.denoiser.mask_id, *config.denoiser.banned_ids} & set(answer.ids)
    assert answer.ids == model.chat([{"role": "user", "content": "Who are you?"}], **FEW).ids


@pytest.mark.parametrize("kind", SEES)
def test_one_picture_and_several_are_looked_at(kind: str, models: dict[str, Model]) -> None:
    model = models[kind]
    one = model.ask(gradient(), "What is this?", **FEW)
    assert one.ids == model.chat([picture()], **FEW).ids == model.ask([gradient()], "What is this?", **FEW).ids
    seen = []
    model.net.tower.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    model.forget()
    model.ask([gradient(), gradient(90)], "What differs?", **FEW)
    assert seen == [1, 1]  # one view each, as they were trained
    for shape in ((1, 1), (4000, 2), (2, 4000)):
        assert len(model.ask(Image.new("RGB", shape), "What?", **FEW).ids) == 6


@pytest.mark.parametrize("kind", SEES)
def test_a_video_is_looked_at_frame_by_frame(kind: str, models: dict[str, Model]) -> None:
    model = models[kind]
    seen = []
    model.net.tower.register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    film = [gradient(40 + i) for i in range(5)]
    answer = model.ask(Video(source=film, frames=3), "What happens?", **FEW)
    again = model.chat(
        [{"role": "user", "content": [{"type": "video", "video": film}, {"type": "text", "text": "What happens?"}]}],
        **FEW,
    )
    assert seen == [3, 5] and answer.image == "5 frames" and len(again.ids) == 6


@pytest.mark.parametrize("kind", SEES | READS)
def test_answers_are_compared_as_the_family_is_asked(kind: str, models: dict[str, Model]) -> None:
    model, shown = models[kind], gradient() if kind in SEES else None
    answers = ["a cat", "a dog"]
    choice = model.choose(shown, "What?", answers, estimator="single", rounds=2, batch=4)
    cache = "prefix" if kind.startswith("lavida") else "none"
    again = model.choose(shown, "What?", answers, estimator="single", rounds=2, batch=4, cache=cache)
    assert choice == again and sum(choice.probabilities) == pytest.approx(1)
    end = model.net.config.denoiser.eos_ids[1]  # the end of a turn
    assert [one.tokens for one in choice.likelihoods] == [len(model.tokenizer.encode(a)) + 1 for a in answers]
    assert model._answer_ids("a cat", end=True)[-1] == end
    for prompt in ((shown, "Who?"), (gradient().rotate(180), "What?"))[: 1 + (kind in SEES)]:
        other = model.choose(*prompt, answers, estimator="single", rounds=2, batch=4)
        assert other.likelihoods[0].value != choice.likelihoods[0].value  # question and picture are both read


@pytest.mark.parametrize("kind", READS)
def test_a_model_without_eyes_says_so(kind: str, models: dict[str, Model]) -> None:
    for shown in (gradient(), [gradient()], Video(source=[gradient()])):
        with pytest.raises(ImageError, match="reads text only; load one with a vision tower"):
            models[kind].stream(shown, "What?")


def test_the_history_is_read_unless_the_official_way_is_asked_for(models: dict[str, Model]) -> None:
    model = models["lavida-llada"]
    said = {"role": "assistant", "content": "A red square."}
    last = {"role": "user", "content": "Where is it?"}
    prompts = []
    model.net.denoiser.register_forward_hook(lambda _, args, __: prompts.append(args[0].shape[1]))

    def prompt_of(messages: list[dict], **options: object) -> int:
        prompts.clear()
        model.forget()
        model.chat(messages, cache="prefix", **FEW, **options)
        return prompts[0]

    with_history, alone = prompt_of([picture(), said, last]), prompt_of([picture("Where is it?")])
    assert with_history > alone == prompt_of([picture(), said, last], compat="official")


def test_what_cannot_be_answered_is_told_at_once(models: dict[str, Model], folders: dict[str, Path]) -> None:
    model = models["llada-v"]
    with pytest.raises(RequestError, match="end with the user's question"):
        model.stream_chat([{"role": "assistant", "content": "A cat."}])
    with pytest.raises(RequestError, match="a part of type 'image' is empty"):
        model.stream_chat([{"role": "user", "content": [{"type": "image"}]}])
    with pytest.raises(ImageError, match="no such file"):
        model.stream_chat([{"role": "user", "content": [{"type": "image", "image": "nowhere.png"}]}])
    with pytest.raises(CheckpointError, match="choose another template"):
        lavida.load(folders["llada"], template="dream")
    with pytest.raises(RequestError, match="unknown template"):
        lavida.load(folders["llada"], template="alpaca")
    plain = lavida.load(folders["llada"], template="plain")
    assert len(plain.ask(None, "Once upon a time", **FEW).ids) == 6


def test_lavida_mini_takes_several_pictures_and_no_videos(tiny_folder: Path) -> None:
    model = lavida.load(tiny_folder)
    assert len(model.ask([gradient(), gradient(90)], "What?", **FEW).ids) == 6
    with pytest.raises(RequestError, match="was not taught on videos"):
        model.ask(Video(source=[gradient()]), "What?")
    with pytest.raises(ImageError, match="1x1 is too small"):
        model.ask(gradient(1, 1), "What?")
