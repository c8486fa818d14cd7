from __future__ import annotations

import pytest
import torch
from PIL import Image

from lavida.errors import ConfigError, RequestError
from lavida.image.tiles import views
from lavida.text.messages import IMAGE_ID
from tests.fakes import LITE0, tiny_config, tiny_model


def test_splice_puts_each_picture_in_its_place() -> None:
    model = tiny_model(tiny_config())
    first, second = torch.randn(3, 32), torch.randn(2, 32)
    got = model.splice(torch.tensor([5, IMAGE_ID, 6, 7, IMAGE_ID]), [first, second])
    words = model.denoiser.embed(torch.tensor([5, 6, 7]))
    assert torch.equal(got, torch.cat((words[:1], first, words[1:], second)))


def test_a_prompt_without_place_for_the_picture_is_refused() -> None:
    model = tiny_model(tiny_config())
    with pytest.raises(RequestError, match="0 places"):
        model.splice(torch.tensor([5, 6]), [torch.zeros(1, 32)])


def test_a_shared_picture_goes_first_and_stands_alone() -> None:
    model = tiny_model(tiny_config(shared_image=True))
    image = torch.randn(4, 32)
    got = model.segments(torch.tensor([5, IMAGE_ID, 6]), [image])
    assert [s.shape[1] for s in got] == [4, 2]
    assert torch.equal(got[0][0], image)


def test_text_only_model_says_so() -> None:
    model = tiny_model(tiny_config(None))
    with pytest.raises(ConfigError, match="text only"):
        model.image_tokens(torch.zeros(1, 4, 8), None)


@torch.no_grad()
@pytest.mark.parametrize("vision", [None, LITE0])
def test_image_tokens_of_a_batch_equal_those_of_each(vision: object) -> None:
    config = tiny_config(vision) if vision else tiny_config()
    model = tiny_model(config)
    _, grid = views(Image.new("RGB", (70, 40)), config.vision, config.tiles)
    features = torch.randn(2, grid.n_views, config.vision.cells**2, config.vision.hidden_size)
    both = model.image_tokens(features, grid)
    assert torch.allclose(both[1], model.image_tokens(features[1], grid), atol=1e-5)


@torch.no_grad()
def test_one_picture_cache_serves_two_prompts() -> None:
    model = tiny_model(tiny_config(shared_image=True))
    image, prompts = torch.randn(1, 5, 32), (torch.randn(1, 3, 32), torch.randn(1, 4, 32))
    picture = model.prefill([image])
    answer = torch.randn(1, 6, 32)
    for prompt in prompts:
        shared = model.prefill([prompt], picture.fork())
        alone = model.prefill([image, prompt])
        assert torch.allclose(model.denoiser(answer, cache=shared), model.denoiser(answer, cache=alone), atol=1e-5)
    assert picture.length == 5
