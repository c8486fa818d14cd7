"""The network as a model of transformers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import LongTensor, Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput

from lavida.checkpoint.io import save_checkpoint
from lavida.checkpoint.named import DTYPES, load_net, tokenizer_of
from lavida.decode.driver import Job, job_steps
from lavida.decode.image_encoder import EncodedImage
from lavida.decode.loop import Step
from lavida.decode.prompt import PromptReader
from lavida.decode.request import tokens_per_forward
from lavida.decode.resolve import model_options
from lavida.errors import RequestError
from lavida.hf.config import LavidaConfig, folder_of
from lavida.hf.generation import DiffusionGenerationConfig, DiffusionOutput, Streamer, read_options, stream_steps
from lavida.image.tiles import Grid, tiles_among
from lavida.model.vlm import VLM
from lavida.text.labels import Label, load_labels, save_labels
from lavida.text.messages import IMAGE_ID
from lavida.text.pretrained import FAST, SLOW
from lavida.text.tokenizer import Vocabulary


class LavidaForMaskedDiffusion(PreTrainedModel):
    """Wrap the network of a masked-diffusion model, with or without vision, as a model of transformers.

    Attributes:
        net: The network.
        tokenizer: Says which ids stand for no token; None bans none.
        labels: Names for lavida-mini's hint about an image.
    """

    config_class = LavidaConfig
    base_model_prefix = "net"
    main_input_name = "input_ids"
    _supports_sdpa = True
    # Adapters are trained on the network itself; peft finds their weights here below `net`.
    _checkpoint_conversion_mapping = {r"^denoiser\.": "net.denoiser."}

    def __init__(
        self,
        config: LavidaConfig,
        *,
        net: VLM | None = None,
        tokenizer: Vocabulary | None = None,
        labels: list[Label] | None = None,
    ) -> None:
        super().__init__(config)
        self.net = VLM(config.vlm) if net is None else net
        self.tokenizer, self.labels = tokenizer, labels
        self.generation_config = DiffusionGenerationConfig()

    @classmethod
    def can_generate(cls) -> bool:
        """Return True: `generate` is our own."""
        return True

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        device_map: str | torch.device | dict[str, Any] | None = None,
        quantize: str | None = None,
        offload: bool = False,
        torch_dtype: torch.dtype | str | None = None,
        attn_implementation: str | None = None,
        **given: Any,
    ) -> Self:
        """Load a model by folder, hub id or name, in our layout or a published one, in eval mode.

        This is `lavida.checkpoint.io.load_checkpoint`, not the loader of transformers: every tensor is accounted for
        and no code of a checkpoint is run, with `trust_remote_code` or without. `device_map` is one device or "auto".
        Raises CheckpointError for a broken model, RequestError for an argument that cannot be had.
        """
        folder = folder_of(path, given)
        if attn_implementation not in (None, "sdpa"):
            mend = "leave attn_implementation out"
            raise RequestError(f"attention is computed by sdpa, not {attn_implementation!r}; {mend}")
        chosen = _dtype(torch_dtype if dtype is None else dtype)
        net = load_net(folder, dtype=chosen, device=_device(device_map), quantize=quantize, offload=offload)
        known = any((folder / name).is_file() for name in (FAST, *SLOW))
        tokenizer = tokenizer_of(folder, net.config) if known else None
        config = LavidaConfig.of(net.config, name_or_path=str(path))
        return cls(config, net=net, tokenizer=tokenizer, labels=load_labels(folder)).eval()

    def save_pretrained(self, folder: str | Path, **_: Any) -> None:
        """Write the model in our own layout, for `from_pretrained` and `lavida.load`. Raises CheckpointError."""
        save_checkpoint(self.net, folder)
        if self.tokenizer is not None:
            self.tokenizer.save(folder)
        if self.labels is not None:
            save_labels(self.labels, Path(folder))

    def prepare_inputs_for_generation(self, input_ids: Tensor, **inputs: Any) -> dict[str, Any]:
        """Return the inputs as they are; peft looks for this method of causal language models."""
        return {"input_ids": input_ids, **inputs}

    def forward(
        self,
        input_ids: Tensor,
        canvas: Tensor,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grids: Tensor | None = None,
    ) -> MaskedLMOutput:
        """Return logits [B, L, V] of canvases [B, L] behind prompts [B, P], each for the token at its own position."""
        reader, logits = self._reader(), []
        rows = self._rows(input_ids, attention_mask, pixel_values, image_grids, False, reader)
        for (ids, images), ours in zip(rows, canvas, strict=True):
            logits.append(self.net.denoiser.head(reader.read(ids, images, cache="none").hidden(ours[None])[0]))
        return MaskedLMOutput(logits=torch.stack(logits))

    @torch.inference_mode()
    def generate(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        image_grids: Tensor | None = None,
        generation_config: DiffusionGenerationConfig | GenerationConfig | None = None,
        streamer: Streamer | None = None,
        inputs: Tensor | None = None,
        **options: Any,
    ) -> LongTensor | DiffusionOutput:
        """Answer prompts, one after the other, as if each came alone.

        Args:
            input_ids: As `LavidaProcessor` returns them, [B, P]; so are the next three.
            attention_mask: [B, P].
            pixel_values: [V, 3, S, S].
            image_grids: [N, 4].
            generation_config: Ours or that of transformers; None is the model's own.
            streamer: Follows one row (`generation.stream_steps`).
            inputs: Another name of `input_ids`.
            **options: Fields of `DiffusionGenerationConfig`, or what `generation.translate` reads: `max_new_tokens`,
                `do_sample`. They win over `generation_config`.

        Returns:
            The prompts as they came in, then the canvases, [B, P + L]; with `return_dict_in_generate=True` a
            `DiffusionOutput`.

        Raises:
            RequestError: An argument is unknown or out of range, or pictures do not fit the prompt.
        """
        input_ids = inputs if input_ids is None else input_ids
        if input_ids is None:
            raise RequestError("there is no prompt to answer; give input_ids as the processor returns them")
        chosen, wants_output = read_options(generation_config, self.generation_config, options)
        known = self.config.vlm.denoiser.vocab_size if self.tokenizer is None else self.tokenizer.size
        decode = model_options(self.config.vlm, known, chosen)
        if streamer is not None and len(input_ids) > 1:
            raise RequestError(f"a streamer follows one row and there are {len(input_ids)}; give one prompt at a time")
        reader, official = self._reader(), decode.compat == "official"
        last: list[Step] = []
        for ids, images in self._rows(input_ids, attention_mask, pixel_values, image_grids, official, reader):
            prompt = reader.read(ids, images, cache=decode.cache)
            steps: Iterator[Step] = job_steps(Job(self.net, decode, prompt))
            if streamer is not None:
                words = ids[ids != IMAGE_ID].cpu()  # a streamer decodes them
                mask_id, revised = self.config.vlm.denoiser.mask_id, decode.revise is not None
                steps = stream_steps(steps, streamer, words, mask_id, revised=revised)
            *_, end = steps
            last.append(end)
        answers = torch.stack([step.canvas for step in last]).to(input_ids.device)
        sequences = cast(LongTensor, torch.cat((input_ids, answers), 1))
        if not wants_output:
            return sequences
        return DiffusionOutput(
            sequences=sequences,
            tokens_per_forward=torch.tensor([tokens_per_forward(step, self.config.vlm) for step in last]),
            steps=cast(LongTensor, torch.tensor([step.forwards for step in last])),
        )

    def _reader(self) -> PromptReader:
        """Return a reader for one call: nothing is kept, since the weights may change or move before the next."""
        name = self.name_or_path or self.config.vlm.family
        return PromptReader(self.net, self.tokenizer, labels=self.labels, name=name)

    def _rows(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        pixel_values: Tensor | None,
        image_grids: Tensor | None,
        official: bool,
        reader: PromptReader,
    ) -> Iterator[tuple[Tensor, list[EncodedImage]]]:
        """Yield the ids [P] of each prompt without padding, and its encoded pictures."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        if input_ids.dim() != 2 or not len(input_ids) or mask.shape != input_ids.shape:
            raise RequestError(
                "input_ids and attention_mask must be [B, P] alike; give both as the processor made them"
            )
        prompts = [ids[kept.bool()] for ids, kept in zip(input_ids, mask, strict=True)]
        counts = [int((ids == IMAGE_ID).sum()) for ids in prompts]
        shown = _pictures(pixel_values, image_grids)
        if sum(counts) != len(shown):
            mend = "make them equal"
            raise RequestError(
                f"the prompts have {sum(counts)} places for a picture and {len(shown)} were given; {mend}"
            )
        if shown:
            reader.images.require()
        pictures = iter(shown)
        for ids, count in zip(prompts, counts, strict=True):
            tiles = tiles_among(self.config.vlm.tiles, count, official=official)
            encode = reader.images.encode_views
            yield ids.to(self.device), [encode(*picture, tiles) for picture in itertools.islice(pictures, count)]


def _pictures(pixel_values: Tensor | None, image_grids: Tensor | None) -> list[tuple[Tensor, Grid]]:
    """Return the views [V_i, 3, S, S] and grid of each picture."""
    if pixel_values is None or image_grids is None:
        if pixel_values is not image_grids:
            raise RequestError("pixel_values and image_grids go together; give both as the processor returns them")
        return []
    grids = [Grid(columns=c, rows=r, width=w, height=h) for c, r, w, h in image_grids.tolist()]
    counts = [grid.n_views for grid in grids]
    if sum(counts) != len(pixel_values):
        raise RequestError(f"image_grids tells of {sum(counts)} views and pixel_values holds {len(pixel_values)}")
    return list(zip(pixel_values.float().cpu().split(counts), grids, strict=True))


def _dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    if not isinstance(dtype, str) or dtype == "auto":
        return None if isinstance(dtype, str) else dtype
    if dtype not in DTYPES:
        raise RequestError(f"unknown dtype {dtype!r}; choose one of auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def _device(device_map: Any) -> torch.device | str:
    if isinstance(device_map, dict) and list(device_map) == [""]:
        device_map = device_map[""]
    if isinstance(device_map, dict):
        raise RequestError("device_map must be one device; give its name, and offload=True for a model that is too big")
    if device_map == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cpu" if device_map is None else device_map
