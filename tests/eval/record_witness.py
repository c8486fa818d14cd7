"""Write `witness.json`: what the published metrics give on `cases.py`.

Run in an environment of its own that holds lmms-eval, pycocoevalcap and Java; the tests need none of them:

python -m tests.eval.record_witness
"""

from __future__ import annotations

import json
import os
import random
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.eval import cases

WITNESS = Path(__file__).with_name("witness.json")


def captions() -> dict[str, Any]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    cut = PTBTokenizer()
    truth = cut.tokenize({i: [{"caption": r} for r in refs] for i, (_, refs) in enumerate(cases.CAPTIONS)})
    said = cut.tokenize({i: [{"caption": c}] for i, (c, _) in enumerate(cases.CAPTIONS)})
    sentences = cut.tokenize({i: [{"caption": s}] for i, s in enumerate(cases.SENTENCES)})
    cider, ciders = Cider().compute_score(truth, said)
    return {
        "tokens": [sentences[i][0].split() for i in range(len(cases.SENTENCES))],
        "cider": [float(x) for x in ciders],
        "cider_mean": float(cider),
        "bleu": Bleu(4).compute_score(truth, said, verbose=0)[0],
        "rouge_l": [float(x) for x in Rouge().compute_score(truth, said)[1]],
    }


def short_answers() -> dict[str, Any]:
    from lmms_eval.api.metrics import anls
    from lmms_eval.tasks._task_utils.vqa_eval_metric import EvalAIAnswerProcessor
    from lmms_eval.tasks.chartqa.utils import relaxed_correctness
    from lmms_eval.tasks.textvqa.utils import textvqa_process_results
    from lmms_eval.tasks.vqav2.utils import vqav2_process_results

    def doc(refs: list[str]) -> dict[str, Any]:
        return {"question_id": 0, "answers": [{"answer": r, "answer_id": i} for i, r in enumerate(refs)]}

    normal = EvalAIAnswerProcessor()
    return {
        "vqa": [vqav2_process_results(doc(refs), [a])["exact_match"] for a, refs in cases.VQA],
        "textvqa": [
            textvqa_process_results({"question_id": 0, "answers": list(refs)}, [a])["exact_match"]
            for a, refs in cases.VQA
        ],
        "normal": [normal(text) for text in cases.NORMAL],
        "anls": [anls(references=refs, predictions=[a])["anls"] for a, refs in cases.ANLS],
        "relaxed": [bool(relaxed_correctness(a, t)) for a, t in cases.RELAXED],
    }


def choices() -> dict[str, Any]:
    from lmms_eval.tasks.mmbench.mmbench_evals import MMBench_Evaluator
    from lmms_eval.tasks.mme.utils import parse_pred_ans
    from lmms_eval.tasks.mmmu import utils as mmmu

    drawn: list[bool] = []
    letters = list("ABCD")

    def read(answer: str) -> str | None:
        drawn.clear()
        found = mmmu.parse_multi_choice_response(answer, letters, dict(zip(letters, cases.OPTIONS)))
        return None if drawn else found

    original = random.choice
    random.choice = lambda known: drawn.append(True) or original(known)  # tells which answers could not be read
    mmbench = MMBench_Evaluator(API_KEY="-", API_URL="-")
    try:
        return {
            "mmmu": [read(a) for a in cases.CHOICES],
            "mmmu_open": [mmmu.eval_open(refs, mmmu.parse_open_response(a)) for a, refs in cases.OPEN],
            "mmbench": [mmbench.can_infer(a, dict(zip(letters, cases.OPTIONS))) or None for a in cases.CHOICES],
            "mme": [parse_pred_ans(a) for a in cases.YESNO],
        }
    finally:
        random.choice = original


def boxes() -> dict[str, Any]:
    from lmms_eval.tasks.refcoco import utils_rec as rec

    found = []
    for answer, truth in cases.BOXES:
        box = rec.parse_float_sequence_within(answer)
        found.append([rec.compute_iou(truth, box), bool(rec.compute_center_accuracy(truth, box))])
    return {"boxes": found}


def maths() -> dict[str, Any]:
    from lmms_eval.tasks.mathvision.utils import mathvision_process_results
    from lmms_eval.tasks.mathvista.mathvista_evals import MathVistaEvaluator

    vista = MathVistaEvaluator()
    return {
        "mathvision": [
            mathvision_process_results({"answer": t, "options": o}, [a])["mathvision_standard_eval"]["scores"][0]
            for a, t, o in cases.MATHVISION
        ],
        "mathvista": [
            vista.normalize_extracted_answer(read, options, question, kind, precision)
            for read, question, kind, options, precision in cases.MATHVISTA
        ],
    }


def main() -> None:
    os.environ.setdefault("OPENAI_API_KEY", "-")  # asked for when the published modules are imported; nothing is sent
    packages = {name: version(name) for name in ("lmms-eval", "pycocoevalcap")}
    found = {**captions(), **short_answers(), **choices(), **boxes(), **maths()}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in {"of": packages, **found}.items())
    WITNESS.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
