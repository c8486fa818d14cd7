"""Read an object off a picture: JSON that fits a schema whatever the model writes, with a confidence for each field.

lavida-mini has learnt no JSON: what it writes has the form, and the values are little better than a guess.

python examples/schema.py photo.jpg
"""

import sys
from pathlib import Path

import lavida

SCHEMA = {
    "type": "object",
    "properties": {
        "animal": {"enum": ["cat", "dog", "bird", "none"]},
        "outdoors": {"type": "boolean"},
    },
    "required": ["animal", "outdoors"],
    "additionalProperties": False,
}

photo = sys.argv[1] if len(sys.argv) > 1 else str(Path(lavida.__file__).parent / "assets" / "demo.jpg")
found = lavida.load(threads="auto").extract(photo, SCHEMA)
print(found.value)
for pointer, confidence in found.confidence.items():
    print(f"{confidence:.3f}  {pointer}")
