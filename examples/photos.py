"""Cut 50 small photos to learn from and 20 to ask about out of four photographs that are installed with `make demo`.

python examples/photos.py photos held-out
"""

import json
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
learn, ask, rng, questions = Path(sys.argv[1]), Path(sys.argv[2]), random.Random(0), {}
(ask / "images").mkdir(parents=True, exist_ok=True)

for i in range(70):
    name = list(SHOWN)[i % len(SHOWN)]
    package, file = SHOWN[name]
    photograph = Image.open(Path(find_spec(package).origin).parent / file).convert("RGB")
    width, height = (round(side * rng.uniform(0.6, 0.9)) for side in photograph.size)
    left, top = rng.randint(0, photograph.width - width), rng.randint(0, photograph.height - height)
    part = photograph.crop((left, top, left + width, top + height)).resize((320, 240))
    if i < 50:
        (learn / name).mkdir(parents=True, exist_ok=True)
        part.save(learn / name / f"{i}.jpg")
    else:  # as GQA's files are
        part.save(ask / "images" / f"{i}.jpg")
        questions[str(i)] = {"imageId": str(i), "question": "What is this?", "answer": name}

(ask / "testdev_balanced_questions.json").write_text(json.dumps(questions))
