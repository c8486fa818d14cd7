"""A gradio app for Spaces: a picture and a question, and the answer while it is written.

pip install lavida gradio
python examples/gradio_app.py            # or with the folder or hub id of another model behind it
"""

import os
import sys
from collections.abc import Iterator

from lavida.threads import wait_passively

wait_passively()
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
from PIL import Image

import lavida

MASK = "░"
model = lavida.load(sys.argv[1] if len(sys.argv) > 1 else None, threads="auto")
engine = lavida.Engine(model).start()  # visitors share its forward passes


def ask(picture: Image.Image | None, question: str, steps: int) -> Iterator[tuple[str, str]]:
    """Yield the canvas after each step, and at last the answer."""
    if picture is None:
        raise gr.Error("Give a picture first.")
    try:
        for draft in engine.stream(picture, question, length=16, steps=int(steps)):
            canvas = "".join(MASK if piece is None else piece for piece in draft.pieces)
            yield canvas, f"{draft.step.forwards} forward passes"
        yield draft.text, f"{draft.step.forwards} forward passes, done"
    except lavida.LavidaError as error:
        raise gr.Error(str(error)) from None


app = gr.Interface(
    ask,
    [
        gr.Image(type="pil", label="Picture"),
        gr.Textbox("What is this?", label="Question"),
        gr.Slider(1, 16, 8, step=1, label="Steps: fewer are faster"),
    ],
    [gr.Textbox(label="Answer", lines=3), gr.Textbox(label="Progress")],
    title="lavida: answers by masked diffusion",
    description=f"The answer starts as masks ({MASK}); each step reads the whole of it and commits the surest words.",
    flagging_mode="never",
    concurrency_limit=8,
)

if __name__ == "__main__":
    app.launch()
