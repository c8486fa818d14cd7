"""Define what the decoding loop asks of a constraint; it knows the canvas and nothing of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

# The options that hold an answer to a language (`lavida.constrain.language`).
CONSTRAINTS = ("regex", "schema", "choices", "template")


class Constraint(Protocol):
    """Represent a set of canvases. Its answers depend on their arguments alone, so requests of a batch may share it.

    Once `check` has passed, a canvas on which only what `commit` returns is written (and end tokens behind a committed
    end) can always be completed: `allowed` leaves every open position at least one token.
    """

    def check(self, ids: Tensor) -> None:
        """Raise RequestError, with the reason, if no completion of the canvas [L] is in the set."""

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor | None:
        """Return what each of the open positions `rows` [n] may become while the others stay open, as bool [n, V].

        None means anything. Asked before tokens are proposed; everything else gets the logit -inf.
        """

    def commit(self, ids: Tensor, rows: Tensor, candidates: Tensor, chosen: Tensor, logits: Tensor) -> Tensor:
        """Return the ids [k] to write together at `rows[chosen]`, so that the canvas stays completable.

        Where the chosen candidates do not go together, the likeliest ids that do are returned instead.

        Args:
            ids: The canvas, [L].
            rows: Its open positions, [n].
            candidates: A token for each of them, allowed one by one, [n].
            chosen: Indices into `rows`, the most confident first, [k].
            logits: What the likeliest ids are told by, [n, V].
        """
