"""Tell each name in a prompt what the evidence says of it: a vector added to the name's tokens.

Whether there is a dog, how many, where and of what colour all rest on matching the word of the question with what the
picture shows. A small network learns that matching late; here it is a look-up. Letters: G names in prompts, B pictures,
C cells, K boxes, D width of the denoiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lavida.errors import ConfigError
from lavida.model.evidence_inputs import EvidenceInputs
from lavida.text.names import MAIN
from lavida.text.things import COLOUR_WEIGHTS

THRESHOLDS = (0.0, 0.33, 0.45)  # scores from which boxes are counted
MOST = 8  # the largest number that is told apart
_WHOLE = 14  # strengths and flags of a name, and the look of the picture
_HIDDEN = 128


class MentionEmbedding(nn.Module):
    """Turn names and evidence into vectors [G, D]: a small network over numbers, and word embeddings with gains."""

    def __init__(self, d_model: int, *, waves: int) -> None:
        super().__init__()
        self.inner = nn.Linear(_WHOLE + len(THRESHOLDS) * (MOST + 1) + 2 * waves, _HIDDEN)
        self.outer = nn.Linear(_HIDDEN, d_model, bias=False)
        self.gate = nn.Linear(_HIDDEN, 4)  # how far each of the words below is believed
        self.gains = nn.Parameter(torch.ones(4, d_model))  # best class, best thing, colour of its box, of its cells
        self._classes: Tensor | None = None  # [N, classes] whether a class of the tower is called by a name
        self._things: Tensor | None = None  # [N, things] whether a thing of the detector is

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Initialise in place; what is added is about half as long as a word."""
        d_model = self.gains.shape[1]
        self.inner.weight.normal_(0.0, 0.3, generator=generator)
        self.inner.bias.zero_()
        self.outer.weight.normal_(0.0, 0.3 * (d_model * _HIDDEN) ** -0.5, generator=generator)
        self.gains.fill_(0.5)
        for parameter in self.gate.parameters():
            parameter.zero_()

    def bind(self, names: Sequence[tuple[Sequence[int], Sequence[int]]], classes: int, things: int) -> None:
        """Take the (classes, things) that are called by each name."""
        called = torch.zeros(len(names), classes, dtype=torch.bool), torch.zeros(len(names), things, dtype=torch.bool)
        for i, pair in enumerate(names):
            for table, members in zip(called, pair, strict=True):
                table[i, list(members)] = True
        self._classes, self._things = called

    def forward(
        self,
        inputs: EvidenceInputs,
        picture: Tensor,
        names: Tensor,
        tables: dict[str, Tensor],
        places: tuple[Tensor, Callable[[Tensor], Tensor]],
    ) -> Tensor:
        """Return vectors [G, D].

        Args:
            inputs: Evidence of B pictures.
            picture: Which of them each name [G] is asked about.
            names: Numbers [G] of the names, or MAIN.
            tables: Embeddings of classes, things and colours.
            places: Centres [C, 2] of the cells, and the function that encodes edges [..., 4].
        """
        if self._classes is None or self._things is None:
            raise ConfigError("the model's evidence has no names; call bind with those of its names.json first")
        if self._classes.device != names.device:
            self._classes, self._things = self._classes.to(names.device), self._things.to(names.device)
        centres, waves = places[0].to(names.device), places[1]
        own_classes, own_boxes = self._members(inputs, picture, names)
        # 1. how strongly cells, whole and boxes show what is called so
        shares = inputs.shares[picture]
        cells = (shares * own_classes).sum(-1)  # [G, C]
        top_own = self._called(self._classes, inputs.top[picture], names)
        top_own = torch.where(names[:, None] == MAIN, torch.arange(top_own.shape[1], device=names.device) == 0, top_own)
        top = (inputs.top_shares[picture] * top_own).sum(-1)
        scores = inputs.scores[picture] * own_boxes  # [G, K]
        best, box = scores.max(-1)
        # 2. where: the best box, and the mean place of the cells
        edges = inputs.edges[picture].gather(1, box[:, None, None].expand(-1, 1, 4))[:, 0]
        weights = cells**2
        mass = weights.sum(-1, keepdim=True).clamp_min(1e-6)
        centre = weights @ centres / mass
        spread = (weights @ centres**2 / mass - centre**2).clamp_min(0).sqrt()
        around = torch.cat((centre - 1.7 * spread, centre + 1.7 * spread), -1)
        placed = torch.cat((waves(edges) * (best > 0)[:, None], waves(around) * (mass > 1e-4)), -1)
        # 3. how many
        numbers = [F.one_hot((scores > least).sum(-1).clamp(max=MOST), MOST + 1) for least in THRESHOLDS]
        whole = self._whole(top, top_own, cells, best, names, inputs.look[picture])
        hidden = torch.cat((whole, *numbers, placed), -1).to(self.inner.weight.dtype)
        hidden = F.gelu(self.inner(hidden))
        told, believed = self.outer(hidden), 2 * self.gate(hidden).sigmoid()  # [G, D], [G, 4]
        # 4. what it is exactly, and its colours, as words
        colours = tables["colours"].to(told.dtype)
        painted = inputs.painted[picture].gather(1, box[:, None, None].expand(-1, 1, inputs.painted.shape[-1]))[:, 0]
        shown = torch.einsum("gc,gcl->gl", weights / mass, inputs.colours[picture]) * (mass > 1e-4)
        name, strength = self._best_class(inputs, picture, own_classes, top_own)
        words = (
            F.embedding(name, tables["classes"]) * strength[:, None],
            F.embedding(inputs.things[picture].gather(1, box[:, None])[:, 0], tables["things"]) * best[:, None],
            (_salient(painted) * (best > 0)[:, None]).to(told.dtype) @ colours,
            _salient(shown).to(told.dtype) @ colours,
        )
        gains = self.gains * believed[:, :, None]  # [G, 4, D]
        return told + sum(word.to(told.dtype) * gain for word, gain in zip(words, gains.unbind(1), strict=True))

    def _called(self, table: Tensor | None, members: Tensor, names: Tensor) -> Tensor:
        """Tell which of the members [G, ...] are called by the names [G]."""
        assert table is not None
        return table[names.clamp(min=0)].gather(1, members.flatten(1)).view_as(members)

    def _members(self, inputs: EvidenceInputs, picture: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
        """Tell which classes [G, C, 5] of the cells and which boxes [G, K] are called by the names."""
        classes, things, scores = inputs.classes[picture], inputs.things[picture], inputs.scores[picture]
        main = names == MAIN
        left, upper, right, lower = inputs.edges[picture].unbind(-1)
        largest = (scores * ((right - left) * (lower - upper)).clamp_min(0) ** 0.5).argmax(-1, keepdim=True)
        own_classes = torch.where(
            main[:, None, None],
            classes == inputs.top[picture][:, :1, None],
            self._called(self._classes, classes, names),
        )
        own_boxes = torch.where(
            main[:, None], things == things.gather(1, largest), self._called(self._things, things, names)
        )
        return own_classes, own_boxes & (scores > 0)

    def _whole(self, top: Tensor, top_own: Tensor, cells: Tensor, best: Tensor, names: Tensor, look: Tensor) -> Tensor:
        """Return strengths and flags [G, _WHOLE]."""
        peak, main = cells.amax(-1), names == MAIN
        known = names.clamp(min=0)
        assert self._classes is not None and self._things is not None
        seen = self._classes[known].any(-1), self._things[known].any(-1)
        flags = [flag.float() for flag in (*seen, main, top_own[:, 0] & (top > 0))]
        strengths = [top, top.sqrt(), peak, peak.sqrt(), cells.mean(-1) * 4, best, best * (best > 0.45)]
        return torch.stack([*strengths, *flags, *look.unbind(-1)], -1)

    def _best_class(
        self, inputs: EvidenceInputs, picture: Tensor, own_classes: Tensor, top_own: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the class [G] that is surest among those called so, and its share."""
        among = inputs.shares[picture] * own_classes
        peak, at = among.flatten(1).max(-1)
        of_cells = inputs.classes[picture].flatten(1).gather(1, at[:, None])[:, 0]
        whole, rank = (inputs.top_shares[picture] * top_own).max(-1)
        of_whole = inputs.top[picture].gather(1, rank[:, None])[:, 0]
        return torch.where(whole > 0.5 * peak, of_whole, of_cells), torch.maximum(whole, peak)


def _salient(shares: Tensor) -> Tensor:
    """Return colour shares [..., 11] in which what a thing would be called by stands out; their sums are 1 or 0."""
    weighted = (shares * torch.tensor(COLOUR_WEIGHTS, device=shares.device)) ** 2
    return weighted / weighted.sum(-1, keepdim=True).clamp_min(1e-6)
