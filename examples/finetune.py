"""Teach lavida-mini the names of your own pictures, one folder for each name, and ask the new model.

python examples/finetune.py photos runs/photos 60
"""

import sys
from pathlib import Path

from lavida.threads import wait_passively

wait_passively()

import lavida  # noqa: E402
from lavida.cli.main import main  # noqa: E402

photos, run, steps = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

code = main(["train", "tune", "--data", str(photos), "--out", str(run), "--steps", steps])
if code:
    sys.exit(code)

model = lavida.load(run / "model", threads="auto")
for photo in sorted(photos.glob("*/*"))[:4]:
    print(f"{photo.parent.name}: {model.ask(photo, 'What is this?').text}")
