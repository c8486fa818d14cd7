"""Sequences of a model whose pictures are tokens (MMaDA): texts, pictures that are shown, pictures to draw.

    [t2i] <start> a red bus <end> [soi] picture [eoi]          a picture to draw
    [mmu] [soi] picture [eoi] <start> dialogue                  a picture that is shown
    [r2i] <start> dialogue <end> [soi] picture [eoi]            a picture to draw after some thought

In training every row of a batch has one length: texts are filled up or cut, on the left in the first form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavida.config import CodesConfig

IGNORED = -100  # a label that is not learnt


@dataclass(frozen=True, kw_only=True)
class Row:
    """Hold one row of a training batch, all lists of one length."""

    ids: list[int]
    labels: list[int]  # IGNORED where nothing is learnt
    attended: list[bool]  # False = padding
    prompt: list[bool]  # True = never masked


@dataclass(frozen=True, kw_only=True)
class Layouts:
    """Write sequences of one model; `end_id` ends a text and `header_id` the name of who speaks in a dialogue."""

    codes: CodesConfig
    end_id: int
    header_id: int | None = None

    def image_ids(self, codes: Sequence[int]) -> list[int]:
        """Return the token ids of a picture's codes."""
        return [self.codes.first_id + code for code in codes]

    def plain(self, text: Sequence[int]) -> list[int]:
        """Return a text between its start and its end."""
        return [*self._started(text), self.end_id]

    def shown(self, image: Sequence[int]) -> list[int]:
        """Return what shows the model a picture, given as token ids."""
        return [self.codes.read_id, self.codes.begin_id, *image, self.codes.end_id]

    def asked(self, text: Sequence[int], room: int | None = None) -> list[int]:
        """Return what asks for a picture, up to the place where it begins; a text longer than `room` is cut."""
        ids = [self.codes.draw_id, *self.plain(text)]
        if room is not None and len(ids) > room + 1:
            ids = [*ids[:room], self.end_id]
        return [*ids, self.codes.begin_id]

    def draw_row(
        self, text: Sequence[int], image: Sequence[int], room: int, image_labels: Sequence[int] | None = None
    ) -> Row:
        """Return the row of a picture to draw: text in `room` places, filled up on the left, then the picture.

        Args:
            text: Token ids; without the start of a text it is put before them.
            image: Token ids, the mask where the model is to predict.
            room: Places of the text.
            image_labels: What is learnt at each place of the picture; None: the picture as it is.
        """
        asked = self.asked(text, room)
        pads = room + 2 - len(asked)
        ids = [self.codes.pad_id] * pads + asked + [*image, self.codes.end_id]
        labels = [IGNORED] * pads + asked + [*(image if image_labels is None else image_labels), self.codes.end_id]
        attended = [False] * pads + [True] * (len(ids) - pads)
        return Row(ids=ids, labels=labels, attended=attended, prompt=[place < room + 1 for place in range(len(ids))])

    def shown_row(self, image: Sequence[int], text: Sequence[int], room: int) -> Row:
        """Return the row of a picture that is shown and a dialogue about it, in `room` places."""
        head, body = self.shown(image), self._ended(text, room)
        ids = head + body
        prompt = self._up_to_header(ids)
        prompt = [place < len(head) or inside for place, inside in enumerate(prompt)]
        return Row(ids=ids, labels=[IGNORED] * len(head) + body, attended=[True] * len(ids), prompt=prompt)

    def text_row(self, text: Sequence[int], length: int, *, dialogue: bool = False) -> Row:
        """Return the row of a text, or of a dialogue, whose prompt is then never masked."""
        ids = self.plain(text)
        ids = ids[:length] + [self.end_id] * (length - len(ids))
        prompt = self._up_to_header(ids) if dialogue else [False] * length
        return Row(ids=ids, labels=list(ids), attended=[True] * length, prompt=prompt)

    def reasoned_row(self, text: Sequence[int], image: Sequence[int], room: int) -> Row:
        """Return the row of a picture to draw behind a dialogue, in `room` places, that reasons about it."""
        body = self._ended(text, room)
        inside = self._up_to_header(body)
        if not any(inside):
            inside = [True] * room
        ids = [self.codes.reason_id, *body, self.codes.begin_id, *image, self.codes.end_id]
        prompt = [True, *inside, True, *(False for _ in image), True]
        return Row(ids=ids, labels=list(ids), attended=[True] * len(ids), prompt=prompt)

    def _started(self, text: Sequence[int]) -> list[int]:
        return list(text) if text and text[0] == self.codes.start_id else [self.codes.start_id, *text]

    def _ended(self, text: Sequence[int], room: int) -> list[int]:
        """Return a text with its start and end, filled up with ends or cut before its own."""
        ids = self.plain(text)
        return ids + [self.end_id] * (room - len(ids)) if len(ids) <= room else [*ids[: room - 1], self.end_id]

    def _up_to_header(self, ids: Sequence[int]) -> list[bool]:
        """Mark the ids up to the last end of a header; none if there is none."""
        last = max((place for place, i in enumerate(ids) if i == self.header_id), default=-1)
        return [place <= last for place in range(len(ids))]
