"""Answer the questions of a benchmark with an image-text-to-text model of transformers, as a baseline.

It sees the same pictures and prompts, in its own chat template, and decodes greedily: one forward pass a token.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lavida.decode.calibration import fingerprint
from lavida.errors import CheckpointError, LavidaError, RequestError
from lavida.eval.answering import Reply, Way, likeliest, messages_of
from lavida.eval.items import Item, Task

_MOST_FAULTS = 16  # in a row; by then it is the model, not the questions
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TransformersAnswerer:
    """Answer with a model of transformers.

    Args:
        path: A folder, or the id of a model of the hub.
        task: Gives the length of an answer.
        length: Tokens of an answer, at most; None is the task's.
        way: How questions are put and answers taken.
        device: Where it computes.
        dtype: Of its weights; None keeps what is stored.
    """

    def __init__(
        self, path: str, task: Task, *, length: int | None = None, way: Way | None = None, device: str = "cpu",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        self.name, self._length = path, length or task.length
        self._way = way or Way()
        self._device, self._dtype = torch.device(device), dtype

    def settings(self) -> Mapping[str, Any]:
        """Return a digest of the model's files and how answers are found."""
        return {
            "the model": _digest(self.name), **self._way.settings(), "length": self._length, "dtype": self._dtype
        }  # fmt: skip

    def load(self) -> None:
        """Load the model. Raises CheckpointError: transformers knows no such model, or it has no chat template."""
        import transformers

        path, dtype = self.name, self._dtype
        chosen = DTYPES.get(dtype, "auto") if dtype is not None else "auto"
        try:
            self._processor = _processor(path)
            model = transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=chosen)
        except (OSError, ValueError, ImportError, KeyError) as error:
            reason = (str(error).strip().splitlines() or ["unknown"])[0]
            raise CheckpointError(f"transformers cannot load {path} as an image-text-to-text model: {reason}") from None
        if getattr(self._processor, "chat_template", None) is None:
            raise CheckpointError(
                f"{path} has no chat template, so its prompts cannot be written; add one to its folder"
            )
        self._model = model.to(self._device).eval()

    def replies(self, asked: Iterable[tuple[int, Item]]) -> Iterator[Reply]:
        """Yield a reply to each question, one at a time."""
        faults = 0
        for index, item in asked:
            try:
                yield self._compared(index, item) if self._way.by_likelihood else self._written(index, item)
                faults = 0
            except LavidaError as error:
                yield Reply(index=index, error=" ".join(str(error).split()))
            except (ValueError, TypeError, LookupError) as error:  # such as "<image>" in a question
                reason = f"transformers: {' '.join(str(error).split()):.300}"
                faults += 1
                if faults == _MOST_FAULTS:
                    raise RequestError(f"{self.name} failed at {faults} questions in a row: {reason}") from None
                yield Reply(index=index, error=reason)
            except torch.OutOfMemoryError:
                raise RequestError(f"memory ran out with {self.name}; take a smaller one, or another device") from None

    def warm_up(self, item: Item) -> None:
        """Answer a question and keep nothing of it."""
        for _ in self.replies([(0, item)]):
            pass

    @torch.inference_mode()
    def _written(self, index: int, item: Item) -> Reply:
        pictures = item.open()
        start = time.perf_counter()
        inputs = self._inputs(messages_of(item, pictures, self._way.suffix))
        written = self._model.generate(**inputs, max_new_tokens=self._length, do_sample=False, num_beams=1)
        ids = written[0, inputs["input_ids"].shape[1] :]
        text = self._processor.batch_decode(ids[None], skip_special_tokens=True)[0].strip()
        seconds = time.perf_counter() - start
        return Reply(index=index, text=self._way.taken(text), steps=len(ids), tokens=len(ids), seconds=seconds)

    @torch.inference_mode()
    def _compared(self, index: int, item: Item) -> Reply:
        inputs = self._inputs(messages_of(item, item.open(), self._way.suffix))
        tokenizer = self._processor.tokenizer
        scores = []
        for answer in item.answers:
            ids = tokenizer(answer, add_special_tokens=False, return_tensors="pt").input_ids.to(self._device)
            scores.append(self._log_likelihood(inputs, ids))
        probabilities = torch.stack(scores).softmax(0).tolist()
        return likeliest(index, item, probabilities, steps=len(scores))

    def _log_likelihood(self, inputs: Mapping[str, Any], ids: Tensor) -> Tensor:
        """Return the log-likelihood of an answer's ids [1, n] behind the prompt."""
        prompt = inputs["input_ids"]
        whole = {**inputs, "input_ids": torch.cat((prompt, ids), 1)}
        for name in ("attention_mask", "mm_token_type_ids", "token_type_ids"):  # as long as the ids
            if name in inputs:
                value = torch.ones_like(ids) if name == "attention_mask" else torch.zeros_like(ids)
                whole[name] = torch.cat((inputs[name], value.to(inputs[name].dtype)), 1)
        logits = self._model(**whole).logits[0, prompt.shape[1] - 1 : -1].double().log_softmax(-1)
        return logits.gather(1, ids[0, :, None]).sum()

    def _inputs(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        found = self._processor.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
        return {name: self._placed(value) for name, value in found.items()}

    def _placed(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        placed = value.to(self._device)
        return placed.to(self._model.dtype) if placed.is_floating_point() else placed


def _processor(path: str) -> Any:
    """Return a model's processor; without torchvision, which only its videos need, one that reads no videos."""
    import transformers

    try:
        return transformers.AutoProcessor.from_pretrained(path)
    except ImportError as error:
        if "VideoProcessor" not in str(error):
            raise
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

    config = transformers.AutoConfig.from_pretrained(path)
    whole = getattr(transformers, PROCESSOR_MAPPING_NAMES[config.model_type])

    def check(self: Any, name: str, part: Any) -> Any:
        """Allow that a part is missing."""
        return None if part is None else whole.check_argument_for_proper_class(self, name, part)

    without_video = type(whole.__name__, (whole,), {"check_argument_for_proper_class": check})
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    pictures = transformers.AutoImageProcessor.from_pretrained(path)
    return without_video(pictures, tokenizer, chat_template=tokenizer.chat_template)


def _digest(path: str) -> str:
    """Return a digest of a folder's configuration and weights; of a hub's id, itself."""
    folder = Path(path)
    return fingerprint(folder) if folder.is_dir() else path
