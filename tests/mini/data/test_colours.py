import pytest
import torch

from mini.data.colours import colour_of, hue_matrix, turn_hue


def plain(*rgb):
    return torch.tensor([*rgb, 255], dtype=torch.uint8).view(4, 1, 1).expand(4, 40, 40).clone()


SAMPLES = {
    "red": (210, 30, 35),
    "orange": (255, 140, 20),
    "yellow": (255, 220, 60),
    "green": (60, 160, 70),
    "blue": (50, 110, 220),
    "purple": (125, 60, 180),
    "pink": (255, 140, 180),
    "brown": (130, 80, 40),
    "black": (15, 15, 18),
    "white": (250, 250, 250),
    "gray": (140, 140, 145),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_plain_colours_have_their_names(name):
    assert colour_of(plain(*SAMPLES[name])) == name


def test_an_outline_does_not_vote_but_a_patchwork_has_no_name():
    picture = plain(*SAMPLES["red"])
    picture[:3, :6] = 0
    assert colour_of(picture) == "red"
    picture[:3, 20:] = torch.tensor(SAMPLES["blue"], dtype=torch.uint8).view(3, 1, 1)
    picture[:3, 10:20] = torch.tensor(SAMPLES["green"], dtype=torch.uint8).view(3, 1, 1)
    picture[:3, 30:] = torch.tensor(SAMPLES["yellow"], dtype=torch.uint8).view(3, 1, 1)
    assert colour_of(picture) is None


def test_clear_pixels_do_not_vote():
    picture = plain(*SAMPLES["green"])
    picture[3] = 0
    assert colour_of(picture) is None


def test_hue_turns():
    assert torch.allclose(hue_matrix(0), torch.eye(3), atol=1e-4)
    assert torch.allclose(hue_matrix(90) @ hue_matrix(-90), torch.eye(3), atol=1e-4)
    gray = torch.full((3,), 0.5)
    assert torch.allclose(hue_matrix(77) @ gray, gray, atol=1e-3)
    red = plain(*SAMPLES["red"])
    assert colour_of(turn_hue(red, 120)) != "red"
    assert turn_hue(red, 0) is red
    assert turn_hue(red, 60)[3].equal(red[3])
