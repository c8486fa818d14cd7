"""Fill the holes of a sentence about a picture, each with its alternatives.

python examples/infill.py photo.jpg "a photo of [M], a kind of [M:1]."
"""

import sys
from pathlib import Path

import lavida

demo = str(Path(lavida.__file__).parent / "assets" / "demo.jpg")
photo, text = sys.argv[1:] if len(sys.argv) == 3 else (demo, "a photo of [M], a kind of [M:1].")

found = lavida.load(threads="auto").infill(photo, text)
print(found.text)
for hole in found.holes:
    print(
        f"  {hole.text} {hole.probability:.2f}",
        *(f"{other.text} {other.probability:.2f}" for other in hole.alternatives),
    )
