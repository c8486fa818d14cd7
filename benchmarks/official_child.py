"""Run by `benchmarks.official` in an interpreter that has the official LaViDa code and none of ours.

Reads shares of steps on standard input, a line each; answers each with "@" and a JSON object: seconds, those of vision
and of the first pass (the prefill), text, ids, and megabytes of memory at most.
"""

import copy
import json
import pdb
import resource
import sys
import time
from pathlib import Path

import torch
from llava.constants import DEFAULT_IMAGE_TOKEN, IMAGE_TOKEN_INDEX
from llava.conversation import conv_templates
from llava.mm_utils import process_images, tokenizer_image_token
from llava.model.builder import load_pretrained_model
from PIL import Image

# The published models name a vision tower of their own in their configuration; their scripts pass this one instead.
VISION = {
    "mm_vision_tower": "google/siglip-so400m-patch14-384",
    "mm_resampler_type": None,
    "mm_projector_type": "mlp2x_gelu",
    "mm_hidden_size": 1152,
    "use_mm_proj": True,
}


class Clock:
    """Time the calls of a module, if there is one."""

    def __init__(self, module: object, device: str) -> None:
        self.known, self.calls = isinstance(module, torch.nn.Module), []
        if isinstance(module, torch.nn.Module):
            module.register_forward_pre_hook(lambda *_: self._note(device, begin=True))
            module.register_forward_hook(lambda *_: self._note(device, begin=False))

    def _note(self, device: str, *, begin: bool) -> None:
        wait(device)
        now = time.perf_counter()
        if begin:
            self._begin = now
        else:
            self.calls.append(now - self._begin)


def stop(*_: object, **__: object) -> None:
    """Stand in for the debugger, in which the official code would wait for ever."""
    raise SystemExit("the official code stops in its debugger here; it may not know this dtype (take bfloat16)")


def stay_on_cpu() -> None:
    """Let what the official code moves to "cuda" stay, and let it checkpoint nothing: deepspeed needs a GPU for it."""
    move = torch.nn.Module.to

    def to(module: torch.nn.Module, *args: object, **named: object) -> torch.nn.Module:
        here = ["cpu" if str(a).startswith("cuda") else a for a in args]
        return move(module, *here, **{k: "cpu" if str(a).startswith("cuda") else a for k, a in named.items()})

    torch.nn.Module.to = to
    try:
        import deepspeed
    except ImportError:
        return
    deepspeed.checkpointing.checkpoint = lambda function, *args: function(*args)


def part(model: torch.nn.Module, name: str) -> object:
    """Return what a method of the model names, if it has the method."""
    return getattr(model, name)() if hasattr(model, name) else None


def peak_memory() -> float:
    """Megabytes that this process has held at most, on the GPU if it has one.

    `getrusage` begins at what the process that started this one held.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024
    except (OSError, IndexError):  # not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    setting = json.loads(sys.argv[1])
    sys.breakpointhook = pdb.set_trace = stop
    if not setting["device"].startswith("cuda"):
        stay_on_cpu()
    device, dtype = setting["device"], getattr(torch, setting["dtype"])
    tokenizer, model, processor, _ = load_pretrained_model(
        setting["model"],
        None,
        setting["name"],
        device_map=device,
        vision_kwargs=VISION,
        torch_dtype="bfloat16",  # it stops in its debugger at float32; weights stored as bfloat16 lose nothing
    )
    model.eval()
    model.tie_weights()
    model.to(dtype)
    talk = copy.deepcopy(conv_templates[setting["template"]])
    talk.append_message(talk.roles[0], f"{DEFAULT_IMAGE_TOKEN}\n{setting['question']}")
    talk.append_message(talk.roles[1], None)
    ids = tokenizer_image_token(talk.get_prompt(), tokenizer, IMAGE_TOKEN_INDEX, return_tensors="pt")[None].to(device)
    picture = Image.open(setting["image"]).convert("RGB")
    tower, denoiser = Clock(part(model, "get_vision_tower"), device), Clock(part(model, "get_model"), device)
    for line in sys.stdin:
        tower.calls, denoiser.calls = [], []
        wait(device)
        start = time.perf_counter()
        views = [view.to(dtype=dtype, device=device) for view in process_images([picture], processor, model.config)]
        with torch.inference_mode():
            written = model.generate(
                ids,
                images=views,
                image_sizes=[picture.size],
                do_sample=False,
                temperature=0,
                max_new_tokens=setting["length"],
                block_length=setting["length"],
                step_ratio=float(line),
                tokenizer=tokenizer,
                prefix_lm=setting["prefix"],
                schedule="shift",
                schedule_kwargs={"shift": setting["shift"]},
            )
        text = tokenizer.batch_decode(written, skip_special_tokens=True)[0].lstrip("!")
        wait(device)
        told = {"seconds": time.perf_counter() - start, "text": text, "ids": written[0].tolist()}
        told["vision"] = sum(tower.calls) if tower.known else None
        told["prefill"] = denoiser.calls[0] if denoiser.calls else None
        print("@" + json.dumps({**told, "memory": peak_memory()}), flush=True)


def wait(device: str) -> None:
    """Until the GPU has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
