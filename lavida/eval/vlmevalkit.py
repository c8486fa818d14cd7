"""Run VLMEvalKit with a model of ours, which its table of models does not know.

python -m lavida.eval.vlmevalkit --lavida owner/name --data MMBench_DEV_EN POPE --work-dir runs/kit --mode infer
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lavida.api import Model, load
from lavida.errors import LavidaError, RequestError
from lavida.eval.foreign_options import read_options

NAME = "lavida"
Message = list[dict[str, Any]]


class LavidaForKit:
    """Answer a message of VLMEvalKit; made a subclass of its BaseModel by `model_class`.

    Args:
        model_path: A folder, a hub id or a name.
        device: "cpu" or "cuda".
        **options: Of decoding, under our names or those of the harnesses.

    Raises:
        RequestError: An option is unknown.
    """

    INTERLEAVE = True
    is_api = False

    def __init__(self, model_path: str = "lavida-mini", device: str = "cpu", **options: Any) -> None:
        super().__init__()
        self._asked = read_options(options)
        self.model: Model = load(model_path, device=device)

    def generate_inner(self, message: Message, dataset: str | None = None) -> str:
        """Return the answer to a message of pictures and texts, in their order."""
        parts = []
        for part in message:
            if part["type"] not in ("text", "image"):
                raise RequestError(f"a part of type {part['type']!r} cannot be shown to the model")
            parts.append({"type": part["type"], part["type"]: part["value"]})
        if self._asked.suffix:
            parts.append({"type": "text", "text": self._asked.suffix})
        answer = self.model.chat([{"role": "user", "content": parts}], **self._asked.options)
        return self._asked.cut(answer.text).strip()


def model_class() -> type:
    """Return the class for VLMEvalKit's table."""
    from vlmeval.vlm.base import BaseModel

    return type("Lavida", (LavidaForKit, BaseModel), {})


def main(argv: Sequence[str] | None = None) -> int:
    """Enter the model into VLMEvalKit's table and call its runner, which reads the other arguments."""
    parser = argparse.ArgumentParser(prog="python -m lavida.eval.vlmevalkit", description=__doc__)
    parser.add_argument("--lavida", default="lavida-mini", help="folder, hub id or name of the model")
    parser.add_argument("--lavida-device", default="cpu")
    parser.add_argument(
        "--lavida-option", action="append", default=[], metavar="NAME=VALUE", help="an option of decoding; repeat it"
    )
    parser.add_argument("--kit", type=Path, help="folder of VLMEvalKit, which holds its run.py")
    known, rest = parser.parse_known_args(argv)
    try:
        options = dict(_option(text) for text in known.lavida_option)
        read_options(options)
        run = _runner(known.kit)
    except LavidaError as error:
        print(f"lavida: {error}", file=sys.stderr)
        return 2
    from vlmeval.config import supported_VLM

    supported_VLM[NAME] = partial(model_class(), model_path=known.lavida, device=known.lavida_device, **options)
    sys.argv = ["run.py", "--model", NAME, *rest]
    run()
    return 0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--lavida-option {text!r} is no NAME=VALUE")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, {"true": True, "false": False}.get(value.lower(), value)


def _runner(kit: Path | None) -> Any:
    """Return the main function of VLMEvalKit's run.py. Raises RequestError if it is not there."""
    import runpy

    try:
        import vlmeval
    except ImportError as error:
        missing = "it is not installed" if error.name == "vlmeval" else str(error)
        raise RequestError(f"cannot import VLMEvalKit: {missing}; install it from its repository") from None
    root = kit or Path(vlmeval.__file__).parent.parent
    script = root / "run.py"
    if not script.is_file():
        raise RequestError(f"{script}: no such file; name the folder of VLMEvalKit by --kit")
    return partial(runpy.run_path, str(script), run_name="__main__")


if __name__ == "__main__":
    sys.exit(main())
