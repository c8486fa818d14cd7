"""Tell what of an answer is certain while it is written: text that only grows, as a stream of OpenAI's form sends it.

A position counts when all before it are committed. Held back as well: the first bytes of a character, blanks that may
turn out to be the end, and what may become the beginning of a stop.
"""

from __future__ import annotations

from collections.abc import Sequence

from lavida.decode.loop import Step, find_stop
from lavida.decode.request import Request

_BROKEN = "\ufffd"  # what bytes become that are no character yet


class CertainText:
    """Tell after each step what the answer begins with, whatever is written yet.

    Args:
        request: Of the answer.
        stop: Texts at the first of which the answer is cut off.
    """

    def __init__(self, request: Request, stop: Sequence[str] = ()) -> None:
        self._request, self._stop = request, tuple(stop)
        vocabulary = request.reader.tokenizer
        assert vocabulary is not None, "a request has a tokenizer"
        self._vocabulary, self._ends = vocabulary, frozenset(vocabulary.end_ids)
        self._mask = request.reader.net.config.denoiser.mask_id
        self._exact = request.options.language is not None

    def ids(self, step: Step) -> list[int]:
        """Return the ids before the first mask, end token or stop of the options."""
        written = step.canvas[: find_stop(step.canvas, self._request.options.stops)].tolist()
        open_ = (i for i, token in enumerate(written) if token == self._mask or token in self._ends)
        return written[: next(open_, len(written))]

    def is_complete(self, step: Step) -> bool:
        """Return whether no mask stands before the end of the text."""
        at = len(self.ids(step))
        return at == len(step.canvas) or int(step.canvas[at]) != self._mask

    def text(self, step: Step) -> str:
        """Return the text that is certain; the whole of it if the step completes it."""
        text = self._settled(step)
        cut = self._cut(text)
        return text[:cut] if self.is_complete(step) else text[: min(cut, self._begun(text))]

    def stops(self, step: Step) -> bool:
        """Return whether it is certain where one of the texts cuts the answer off."""
        if not self._stop:
            return False
        text = self._settled(step)
        cut = self._cut(text)
        return cut < len(text) and (self.is_complete(step) or self._begun(text) >= cut)

    def _settled(self, step: Step) -> str:
        """Return the text whose letters will not change, before it is cut off."""
        ids = self.ids(step)
        if self.is_complete(step):
            return self._vocabulary.decode(ids, exact=self._exact)
        options = self._request.options
        if options.revise is not None:  # which may mask again what stands
            return ""
        held = max((_overlap(ids, stop) for stop in options.stops), default=0)
        text = self._vocabulary.decode(ids[: len(ids) - held], exact=self._exact)
        return text.rstrip(_BROKEN) if self._exact else _without_loose_end(text)

    def _cut(self, text: str) -> int:
        """Return where the first stop begins, the length of the text if there is none."""
        return min((at for stop in self._stop if (at := text.find(stop)) >= 0), default=len(text))

    def _begun(self, text: str) -> int:
        """Return from where on the end of the text may turn out to be a stop."""
        return len(text) - max((_overlap(text, stop) for stop in self._stop), default=0)


def _overlap(text: Sequence[int] | str, stop: Sequence[int] | str) -> int:
    """Return the length of the longest proper beginning of `stop` that `text` ends with."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if all(a == b for a, b in zip(text[len(text) - size :], stop)):
            return size
    return 0


def _without_loose_end(text: str) -> str:
    while text and (text[-1] == _BROKEN or text[-1].isspace()):
        text = text.rstrip(_BROKEN).rstrip()
    return text
