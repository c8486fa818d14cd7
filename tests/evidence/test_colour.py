"""Colours of cells and the test for black-and-white pictures."""

import pytest
import torch

from lavida.evidence.colour import colour_shares, is_monochrome, main_colour, small_lab, to_lab
from lavida.text.things import COLOURS


@pytest.mark.parametrize(
    ("rgb", "name"),
    [((220, 30, 40), "red"), ((30, 60, 190), "blue"), ((40, 140, 50), "green"), ((20, 20, 20), "black"),
     ((240, 240, 240), "white"), ((130, 130, 130), "gray"), ((250, 220, 50), "yellow"), ((110, 70, 40), "brown"),
     ((245, 130, 20), "orange"), ((120, 50, 150), "purple"), ((245, 150, 180), "pink")],
)  # fmt: skip
def test_every_basic_colour_is_named(rgb, name):
    views = (torch.tensor(rgb).float()[None, :, None, None].expand(1, 3, 56, 56) / 255 - 0.5) / 0.5
    shares = colour_shares(small_lab(views, 0.5, 0.5))
    assert shares.shape == (1, 16, 11)
    assert COLOURS[int(shares[0, 5].argmax())] == name
    assert main_colour(shares[0, 5])[0] == name


def test_lab_of_white_and_mid_gray():
    white, gray = to_lab(torch.tensor([[1.0, 1.0, 1.0], [0.5, 0.5, 0.5]]))
    assert torch.allclose(white, torch.tensor([100.0, 0.0, 0.0]), atol=0.05)
    assert torch.allclose(gray, torch.tensor([53.39, 0.0, 0.0]), atol=0.05)


def test_background_colours_count_less():
    shares = torch.zeros(11)
    shares[COLOURS.index("gray")], shares[COLOURS.index("red")] = 0.55, 0.45
    assert main_colour(shares)[0] == "red"


def test_sepia_and_gray_are_monochrome_and_colours_are_not():
    light = torch.rand(56, 56, generator=torch.Generator().manual_seed(1))
    gray = light[..., None].expand(56, 56, 3)
    sepia = gray * torch.tensor([1.0, 0.87, 0.7])
    coloured = gray.clone()
    coloured[:20, :20] = torch.tensor([0.8, 0.1, 0.1])
    assert is_monochrome(to_lab(gray)) and is_monochrome(to_lab(sepia))
    assert not is_monochrome(to_lab(coloured))


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_a_plain_picture_is_monochrome(shade):
    assert is_monochrome(to_lab(torch.full((56, 56, 3), shade / 255)))
    coloured = torch.rand(56, 56, 3, generator=torch.Generator().manual_seed(shade))
    assert not is_monochrome(to_lab(coloured))
