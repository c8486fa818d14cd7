"""What the loop asks of a constraint: which tokens may stand where, so that the canvas can always be completed."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Constraint(Protocol):
    """A language that the canvas must end in, whatever the model says.

    It knows the mask id, the end tokens that pad a canvas and the banned ids, none of which the loop will tell it. A
    canvas that it cannot fill is refused when it is made, never here.
    """

    def allowed(self, ids: Tensor, rows: Tensor) -> Tensor | None:
        """True [n, V] where a token may stand at `rows` [n] of the canvas `ids` [L]; None if anything may."""

    def commit(self, ids: Tensor, rows: Tensor, logits: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Positions and ids [m] to write now, so that the canvas stays completable; m >= 1 if n >= 1.

        `rows` [n] are open positions of the canvas `ids` [L] and `order` [n] how to go through them, the surest first;
        `logits` [n, V] are those that candidates are taken from, noise included, -inf where nothing may be written.
        Fewer than all may be returned: the loop looks at the others again.
        """
