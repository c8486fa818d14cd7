"""What the benchmarks share, and the ones that talk to something else: the official code, transformers."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

import lavida
from benchmarks import harness, run
from benchmarks.harness import PHOTO, environment, faster, interleave, markdown, spread
from benchmarks.nets import SMALL, random_net
from benchmarks.official import Official, Ours, facts
from benchmarks.report import Report, Row
from lavida.decode.request import Answer
from tests.pictures import gradient
from tests.tiny import save_tiny

TWIN = harness.ROOT / "benchmarks" / "twin"
ANSWER = Answer(image="", prompt="", text="", steps=2, seconds=0.0, tokens_per_forward=1.0, ids=())
ROWS = (
    Row(series="slow", x=4, values=(2.0, 4.0, 3.0), ratios=(1.0, 1.0, 1.0)),
    Row(series="fast", x=4, values=(1.0, 1.0, 1.0), ratios=(2.0, 4.0, 3.0), facts={"passes": 2.5}),
)
REPORT = Report(name="latency", title="Seconds", x="steps", y="s", rows=ROWS, base="slow")


def test_arms_take_turns_and_the_first_round_is_not_counted() -> None:
    turns: list[str] = []
    arms = {name: lambda name=name: turns.append(name) or float(len(turns)) for name in "abc"}
    found = interleave(arms, rounds=4, seconds=60)
    rounds = [turns[i : i + 3] for i in range(0, 15, 3)]
    assert len(turns) == 15 and all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1  # in another order
    assert all(len(values) == 4 and min(values) > 3 for values in found.values())


def test_time_ends_the_rounds_but_not_before_there_is_a_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(harness.time, "perf_counter", lambda: clock[0])

    def ten_seconds() -> None:
        clock[0] += 10

    assert interleave({"a": ten_seconds}, rounds=99, seconds=65) == {"a": [10.0] * 5}  # and one to warm up
    assert interleave({"a": ten_seconds}, rounds=99, seconds=1) == {"a": [10.0] * harness.LEAST_ROUNDS}
    assert interleave({"a": ten_seconds}, rounds=2, seconds=99) == {"a": [10.0] * 2}


def test_ratios_are_taken_round_by_round() -> None:
    assert faster((1.0, 2.0), (2.0, 8.0)) == (2.0, 4.0)
    assert spread((3.0, 1.0, 2.0)) == "2 [1 .. 3]" and spread((0.12345,)) == "0.123" and spread(()) == "-"


def test_a_report_is_what_was_written(tmp_path: Path) -> None:
    report = replace(REPORT, environment=environment())
    harness.write(report, tmp_path)
    assert Report.from_json(json.loads((tmp_path / "latency.json").read_text())) == report
    table = markdown([report]).splitlines()
    assert table[2] == "| latency | slow, 4 | 3 [2 .. 4] s | 1 [1 .. 1] |  |"
    assert table[3] == "| latency | fast, 4 | 1 [1 .. 1] s | 3 [2 .. 4] | passes 2.5 |"


@pytest.mark.parametrize("x", [4, "a name"])
def test_a_report_is_drawn(tmp_path: Path, x: float | str) -> None:
    pytest.importorskip("matplotlib")
    harness.write(replace(REPORT, rows=tuple(replace(row, x=x) for row in ROWS)), tmp_path)
    assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    harness.write(REPORT, tmp_path)
    assert "lavida[bench]" in capsys.readouterr().err and [p.name for p in tmp_path.iterdir()] == ["latency.json"]


def test_the_page_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{run.BEGIN}\nold\n{run.END}\nafter\n")
    busy = replace(REPORT, environment=environment() | {"busy_before": 1.5})
    for _ in range(2):
        run.write_page([busy], page)
    text = page.read_text()
    assert text.startswith(f"before\n{run.BEGIN}\n| benchmark") and text.endswith(f"{run.END}\nafter\n")
    assert "old" not in text and text.count("fast, 4") == 1 and "not final" in text
    assert "![Seconds](benchmarks/latency.png)" in text


def test_the_documents_page_has_the_marks_and_every_benchmark() -> None:
    page = run.PAGE.read_text()
    assert page.count(run.BEGIN) == page.count(run.END) == 1
    assert [one.name for one in run.BENCHMARKS if f"`{one.name}`" not in page] == []


def test_all_of_it_fits_in_its_time() -> None:
    assert sum(one.seconds + one.besides for one in run.BENCHMARKS) <= run.BUDGET


def test_what_lacks_its_needs_is_left_out() -> None:
    args = Namespace(
        only=None, twin=None, data=Path("d"), model="m", threads=1, rounds=None, seconds=None, small=True, out=Path("o")
    )
    by_name = {one.name: one for one in run.BENCHMARKS}
    assert run.skipped(by_name["twin"], args) == "needs --twin" and run.skipped(by_name["latency"], args) is None
    made = run.command(by_name["adaptive"], args)
    assert made[-3:] == ["--data", "d", "--small"] and made[made.index("--model") + 1] == "m"
    assert "--data" not in run.command(by_name["latency"], args)


def test_the_twins_weights_are_those_of_a_llama() -> None:
    from benchmarks.twin import as_llama

    for tied in (True, False):
        config = replace(SMALL, autoregressive=True, logit_shift=True, n_kv_heads=2, tied_head=tied)
        denoiser = random_net(config, torch.float32).denoiser
        x = denoiser.embed(torch.arange(7))[None]
        with torch.inference_mode():
            theirs = as_llama(denoiser)(inputs_embeds=x).logits
            assert torch.allclose(denoiser.head(denoiser(x)), theirs, atol=1e-5)


OFFICIAL = {
    "__init__": "",
    "constants": "DEFAULT_IMAGE_TOKEN, IMAGE_TOKEN_INDEX = '<image>', -200",
    "conversation": """
class Talk:
    roles, said = ("user", "assistant"), []
    def append_message(self, role, text): self.said.append(text)
    def get_prompt(self): return self.said[0]
conv_templates = {"llada": Talk()}
""",
    "mm_utils": """
import torch
def process_images(pictures, processor, config): return [torch.zeros(3, 4, 4) for _ in pictures]
def tokenizer_image_token(prompt, tokenizer, index, return_tensors):
    assert prompt == "<image>\\nWhat?" and index == -200
    return torch.tensor([1, index, 2])
""",
    "model/__init__": "",
    "model/builder": """
import torch
class Tokenizer:
    def batch_decode(self, ids, skip_special_tokens): return [f"!!{len(ids[0])} tokens"]
class Model(torch.nn.Module):
    config = None
    def __init__(self):
        super().__init__()
        self.tower = torch.nn.Linear(4, 4)
    def get_vision_tower(self): return self.tower
    def tie_weights(self): assert str(self.to('cuda').tower.weight.device) == 'cpu'
    def generate(self, ids, images, image_sizes, step_ratio, max_new_tokens, **options):
        assert ids.shape == (1, 3) and images[0].dtype == torch.bfloat16 and options["prefix_lm"]
        assert options["schedule"] == "shift" and abs(options["schedule_kwargs"]["shift"] - 1 / 3) < 1e-9
        self.tower(images[0])
        print("words of its own")
        return torch.zeros(1, int(step_ratio * max_new_tokens))
def load_pretrained_model(path, base, name, device_map, vision_kwargs, torch_dtype):
    assert name == "llava_llada" and "mm_vision_tower" in vision_kwargs
    return Tokenizer(), Model(), None, 4096
""",
}


def test_the_official_code_answers_in_its_own_process(tmp_path: Path, photo: Path) -> None:
    for name, text in OFFICIAL.items():
        path = tmp_path / "llava" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    setting = {"model": "m", "name": "llava_llada", "template": "llada", "device": "cpu", "dtype": "bfloat16",
               "image": str(photo), "question": "What?", "length": 64, "prefix": True, "shift": 1 / 3}  # fmt: skip
    theirs = Official(sys.executable, tmp_path, setting)
    assert all(theirs.answer(share) > 0 for share in (0.25, 1.0))
    theirs.close()
    assert {share: told["text"] for share, told in theirs.told.items()} == {0.25: "16 tokens", 1.0: "64 tokens"}
    told = theirs.told[0.25]
    assert told["ids"] == [0] * 16 and told["vision"] > 0 and told["prefill"] is None and told["memory"] > 50
    mine = {"seconds": 3.0, "vision": 1.0, "prefill": 0.5, "ids": [0] * 15 + [7], "memory": 9.0}
    assert facts(mine, told) == {
        "vision": 1.0, "prefill": 0.5, "denoising": 1.5, "MB": 9.0, "equal ids": "15 of 16", "ids": 2
    }  # fmt: skip
    assert "denoising" not in facts(told, mine)


def test_our_side_tells_its_parts(tiny_folder: Path, photo: Path) -> None:
    mine = Ours(lavida.load(tiny_folder), photo, 64, "prefix")
    seconds = mine.answer(0.25)
    told = mine.told[0.25]
    assert len(told["ids"]) == 64 and 0 < told["vision"] + told["prefill"] < seconds == told["seconds"]


def test_the_least_number_of_rounds_can_be_less() -> None:
    found = interleave({"one": lambda: time.sleep(0.02)}, rounds=9, seconds=0.001, least=1)
    assert len(found["one"]) == 1


def test_the_twin_is_small_and_writes_left_to_right() -> None:
    assert sum(f.stat().st_size for f in TWIN.iterdir()) <= 40_000_000  # it borrows its tower from lavida-mini
    twin = lavida.load(TWIN)
    assert twin.net.config.denoiser.autoregressive and twin.net.tower.classifier is not None
    first = [int(draft.step.committed[0]) for draft in twin.stream(PHOTO, "What is this?")]
    assert first == list(range(len(first)))


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (harness.ROOT / "benchmarks").glob("*.py") if p.stem != "official_child")
)
def test_every_benchmark_can_be_imported(name: str) -> None:
    import_module(f"benchmarks.{name}")


def test_few_steps_compares_words_with_the_reference_and_the_data(tmp_path: Path, capsys, monkeypatch) -> None:
    from benchmarks import few_steps

    gradient(60, 40).save(tmp_path / "a.png")
    entries = [
        {"image": "a.png", "question": "What is this?", "answer": "a cat"},
        {"image": "a.png", "caption": "a cat"},
    ]
    data = tmp_path / "held.jsonl"
    data.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    samples = few_steps.questions_of(str(data), None, None)
    said = [replace(ANSWER, text=text) for text in ("a cat", "a cat.")]
    told = few_steps.figures(samples, said, [replace(ANSWER, text="A cat"), replace(ANSWER, text="a dog")])
    assert (told.agreement, told.accuracy, told.passes) == (0.5, 1.0, 2.0) and told.cider is not None
    alone = few_steps.figures(samples[:1], said[:1], said[:1])
    assert alone.cider is None and "| m | 2 | 2.0 | 1.000 | 1.000 | - |" in few_steps.table({("m", 2): alone})
    model = str(save_tiny(tmp_path / "tiny"))
    words = ["--model", model, "--data", str(data), "--questions", "2", "--passes", "1", "2"]
    monkeypatch.setattr(sys, "argv", ["few_steps", *words, "--length", "4", "--out", str(tmp_path / "out")])
    few_steps.main()
    assert capsys.readouterr().out.count(f"| {model} | 1 | 1.0 |") == 1
    assert (tmp_path / "out" / "few_steps.json").is_file()
