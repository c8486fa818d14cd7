"""Describe a picture, ask about it, and watch the canvas fill up.

python examples/describe.py photo.jpg
"""

import sys
from pathlib import Path

from lavida.threads import wait_passively

wait_passively()  # before PyTorch is imported: threads that do not stall beside a busy process

import lavida  # noqa: E402

photo = sys.argv[1] if len(sys.argv) > 1 else str(Path(lavida.__file__).parent / "assets" / "demo.jpg")
model = lavida.load(threads="auto")

print(model.describe(photo).text)
answer = model.ask(photo, "What kind of thing is this?", steps=4)
print(f"{answer.text} ({answer.steps} forward passes)")
for draft in model.stream(photo, "What is this?", steps=8):
    print("".join(" _" if piece is None else piece for piece in draft.pieces))
