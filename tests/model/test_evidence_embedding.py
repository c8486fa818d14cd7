"""The entry of evidence into the denoiser."""

from dataclasses import fields

import pytest
import torch

from lavida.errors import ConfigError
from lavida.model.evidence import EvidenceEmbedding, add_to_cells
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.things import EvidenceWords

D = 16


def inputs(**changed):
    empty = {
        "classes": torch.zeros(1, 80, 5, dtype=torch.long), "shares": torch.zeros(1, 80, 5),
        "colours": torch.zeros(1, 80, 11), "things": torch.zeros(1, 3, dtype=torch.long), "scores": torch.zeros(1, 3),
        "edges": torch.zeros(1, 3, 4), "painted": torch.zeros(1, 3, 11), "numbers": torch.zeros(1, 3, dtype=torch.long),
        "counts": torch.zeros(1, 3, dtype=torch.long), "top": torch.zeros(1, 3, dtype=torch.long),
        "top_shares": torch.zeros(1, 3), "look": torch.zeros(1, 3),
    }  # fmt: skip
    assert set(empty) == {f.name for f in fields(EvidenceInputs)}
    return EvidenceInputs(**{**empty, **changed})


@pytest.fixture
def module():
    part = EvidenceEmbedding(D, classes=4, things=2, boxes=3)
    part.reset(torch.Generator().manual_seed(0))
    ids = [[i] for i in range(11)]
    part.bind(
        EvidenceWords(
            classes=[[20], [21, 22], [23], [24]], kinds=[[], [25], [], []], classes_zh=[[26]] * 4, things=[[27], [28]],
            things_zh=[[29], [30]], colours=ids, colours_zh=ids,
        )
    )  # fmt: skip
    return part.eval()


@pytest.fixture
def table():
    return torch.randn(40, D, generator=torch.Generator().manual_seed(1))


def test_nothing_seen_adds_nothing_to_the_cells(module, table):
    cells, extra = module(inputs(), table)
    assert cells.shape == (1, 80, D) and extra.shape == (1, 5, D)
    assert not cells.any() and not extra[:, 2:].any()


def test_a_class_adds_its_word_in_its_share(module, table):
    shares = torch.zeros(1, 80, 5)
    shares[0, 7, 0] = 0.5
    cells, _ = module(inputs(classes=torch.full((1, 80, 5), 1), shares=shares), table)
    wanted = 0.5 * ((table[21] + table[22]) / 2 + 0.5 * table[25] + 0.3 * table[26])
    assert torch.allclose(cells[0, 7], wanted, atol=1e-5)
    assert not cells[0, 8].any()


def test_a_box_marks_the_cells_that_it_covers_and_its_token(module, table):
    edges = torch.zeros(1, 3, 4)
    edges[0, 0] = torch.tensor([0.5, 0.0, 1.0, 0.5])  # the upper right quarter
    scores = torch.tensor([[0.8, 0.0, 0.0]])
    cells, extra = module(inputs(edges=edges, scores=scores), table)
    marked = cells[0].abs().sum(-1) > 0
    assert marked[:16].reshape(4, 4).nonzero().tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    assert marked[16:].reshape(8, 8)[:4, 4:].all() and marked[16:].sum() == 16
    assert extra[0, 2].any() and not extra[0, 3:].any()


def test_newlines_get_nothing():
    tokens = add_to_cells(torch.zeros(1, 88, 1), torch.ones(1, 80, 1))[0, :, 0]
    assert tokens[:16].all() and tokens[16:].reshape(8, 9)[:, :8].all() and not tokens[16:].reshape(8, 9)[:, 8].any()


def test_words_must_fit_the_model(module):
    other = EvidenceEmbedding(D, classes=5, things=2, boxes=3)
    with pytest.raises(ConfigError, match="labels.json"):
        other.bind(
            EvidenceWords(
                classes=[[1]], kinds=[[]], classes_zh=[[]], things=[], things_zh=[], colours=[], colours_zh=[]
            )
        )
    with pytest.raises(ConfigError, match="bind"):
        other.eval()(inputs(), torch.zeros(4, D))
