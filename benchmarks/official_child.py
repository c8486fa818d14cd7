"""Run by `benchmarks.official` in an interpreter that has the official LaViDa code and none of ours.

Reads shares of steps on standard input, a line each; answers each with "@" and a JSON object of seconds and text.
"""

import copy
import json
import sys
import time

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


def main() -> None:
    setting = json.loads(sys.argv[1])
    device, dtype = setting["device"], getattr(torch, setting["dtype"])
    tokenizer, model, processor, _ = load_pretrained_model(
        setting["model"],
        None,
        setting["name"],
        device_map=device,
        vision_kwargs=VISION,
        torch_dtype=setting["dtype"],
    )
    model.eval()
    model.tie_weights()
    model.to(dtype)
    talk = copy.deepcopy(conv_templates[setting["template"]])
    talk.append_message(talk.roles[0], f"{DEFAULT_IMAGE_TOKEN}\n{setting['question']}")
    talk.append_message(talk.roles[1], None)
    ids = tokenizer_image_token(talk.get_prompt(), tokenizer, IMAGE_TOKEN_INDEX, return_tensors="pt")[None].to(device)
    picture = Image.open(setting["image"]).convert("RGB")
    for line in sys.stdin:
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
                prefix_lm=True,
                schedule="shift",
                schedule_kwargs={"shift": setting["shift"]},
            )
        text = tokenizer.batch_decode(written, skip_special_tokens=True)[0].lstrip("!")
        wait(device)
        print("@" + json.dumps({"seconds": time.perf_counter() - start, "text": text}), flush=True)


def wait(device: str) -> None:
    """Until the GPU has done what it was given."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
