"""Cut four photographs, which are installed with `make demo`, into 50 small ones to learn from and 20 to ask about.

python examples/photos.py photos held-out
"""

import random
import sys
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

SHOWN = {  # the name to learn -> package and path of the photograph
    "Chelsea": ("lavida", "assets/demo.jpg"),
    "Summer Palace": ("sklearn", "datasets/images/china.jpg"),
    "dahlia": ("sklearn", "datasets/images/flower.jpg"),
    "Grace Hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}
learn, ask, rng = Path(sys.argv[1]), Path(sys.argv[2]), random.Random(0)

for i in range(70):
    name = list(SHOWN)[i % len(SHOWN)]
    package, file = SHOWN[name]
    photograph = Image.open(Path(find_spec(package).origin).parent / file).convert("RGB")
    width, height = (round(side * rng.uniform(0.6, 0.9)) for side in photograph.size)
    left, top = rng.randint(0, photograph.width - width), rng.randint(0, photograph.height - height)
    part = photograph.crop((left, top, left + width, top + height)).resize((320, 240))
    folder = (learn if i < 50 else ask) / name
    folder.mkdir(parents=True, exist_ok=True)
    part.save(folder / f"{i}.jpg")
