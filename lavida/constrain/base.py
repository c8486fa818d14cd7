"""What a constraint tells the loop. It knows the canvas and nothing of the model; `lavida.constrain` makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

# By these names of options an answer is held to a language (`lavida.constrain.language`).
CONSTRAINTS = ("regex", "schema", "choices", "template")


class Constraint(Protocol):
    """A set of canvases. Its answers depend on their arguments alone, so requests of one batch may share it.

    Once `check` has passed, a canvas on which only what `commit` returns is written (and end tokens behind a committed
    end) can always be completed: `allowed` leaves every open position at least one token.
    """

    def check(self, ids: Tensor) -> None:
        """Raises RequestError, with the reason, if no completion of the canvas [L] is in the set."""

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor | None:
        """What each of the open positions `rows` [n] may become while the others stay open: bool [n, V].

        None = anything. Asked before tokens are proposed; all else gets the logit -inf.
        """

    def commit(self, ids: Tensor, rows: Tensor, candidates: Tensor, chosen: Tensor, logits: Tensor) -> Tensor:
        """The ids [k] to write together at `rows[chosen]`, so that the canvas [L] stays completable.

        `candidates` [n] are allowed one by one; `chosen` [k] indexes `rows` [n], surest first. Where the chosen
        candidates do not go together, the likeliest ids by `logits` [n, V] that do are returned instead.
        """
