"""Answer natural questions by hand-written rules over the evidence of a picture: a baseline beside the model.

The rules read the words of a question, find the names it speaks of in the name table and look them up in the evidence.
They were written with the questions of split (v) known, so their figures flatter them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from lavida.evidence.colour import main_colour
from lavida.evidence.gather import Evidence
from lavida.model.evidence import GLOBAL
from lavida.text.things import COCO as DETECTED
from mini.natural import phrases
from mini.natural.choose import place_of
from mini.natural.mentions import Mentions
from mini.natural.names import COCO, COLOURS, IMAGENET, KINDS, is_a
from mini.natural.truth import Box, Thing

THERE = 0.3  # support from which something counts as there
COUNTED = 0.35  # score from which a box counts as one of several
_PRIVATE = re.compile(
    r"\b(name of|called by|how (old|much|heavy|expensive|far|long|fast)|cost|price|pay|think|thinking|feel|dream|who"
    r"|when (is|was|will|did)|year|write|poem|song|story|translate|recommend|capital|weather|buy|own|owner|born|live"
    r"|tomorrow|yesterday"
    r"|happened before|comes? (after|next)|going next|next (week|year)|taste|smell|sound|weigh"
    r"|phone number|address|married|job|\d ?[+*])\b"
)
_PRIVATE_ZH = re.compile(
    r"多少钱|多大|几岁|想什么|什么名字|谁|什么时候|哪一年|写(?!着|的|了|什么)|诗|歌|故事|翻译|首都|天气|住|味道|闻|声音"
    r"|多重|刚才|接下来|以后|明天|昨天|喜欢|电话|地址|工作|结婚"
)
_YES_NO = re.compile(r"^(is|are|was|were|do|does|did|can|could|has|have|would|will|isn|there|am|any)\b")
_YES_NO_ZH = re.compile(r"吗|有没有|是不是|对不对|能不能|在不在")
_PLACES = {
    "left": "left|左", "right": "right|右",
    "top": "top|upper|above|上[边面方部角半]", "bottom": "bottom|lower|下[边面方部角半]",
    "": "middle|centre|center|中间|中央|中心",
}  # fmt: skip
_OUT = re.compile(r"outdoors?|outside|open air|street|室外|户外|外[面边头]|屋外|露天")
_IN = re.compile(r"indoors?|inside|in a (room|hall|house)|室内|屋[里内子]|里面|房间")
_NIGHT, _DAY = re.compile(r"\bnight|dark|晚上|夜|黑"), re.compile(r"\bday|daylight|bright|白天|亮")
_MONO, _TINT = re.compile(r"black and white|monochrome|grey|黑白"), re.compile(r"in colou?r|colou?red|彩色")
_PEOPLE = re.compile(r"\b(any|some|every)(one|body)\b|people|person|\bm[ae]n\b|wom[ae]n|child|boy|girl|人|孩子|男|女")
_SCENES = {"en": ("indoors", "outdoors"), "zh": ("室内", "室外")}
_TIMES = {"en": ("day", "night"), "zh": ("白天", "晚上")}
_TINTS = {"en": ("in color", "black and white"), "zh": ("彩色", "黑白")}
_MENTIONS = Mentions()


@dataclass(frozen=True)
class Rules:
    """Answer questions about one picture by its evidence."""

    evidence: Evidence

    def __call__(self, question: str) -> str:
        """Return an answer in the language of the question."""
        chinese = bool(re.search(r"[㐀-鿿]", question))
        return _Asked(self.evidence, question.strip().lower(), "zh" if chinese else "en").answer()


@dataclass(frozen=True)
class _Asked:
    evidence: Evidence
    question: str
    language: str

    def answer(self) -> str:
        """Return the answer of the first rule that fits."""
        q, zh = self.question, self.language == "zh"
        if (_PRIVATE_ZH if zh else _PRIVATE).search(q):
            return phrases.CANNOT_TELL[self.language]
        if re.search(r"\b(say|says|written|printed|read|letters|words?)\b|写|字", q):
            return self.text()
        if re.search(r"\bor\b|还是", q):
            return self.choice()
        if re.search(r"how many|number of|count|几[^乎]|多少", q):
            return self.count()
        if (_YES_NO_ZH if zh else _YES_NO).search(q):
            return self.check()
        if re.search(r"colou?r|颜色", q):
            return phrases.colour(self.colour(self.mentioned()), self.language)
        if re.search(r"\bwhere\b|which (side|part|half|corner)|哪里|哪儿|哪[一]?边|位置|什么地方|哪个角", q):
            return phrases.place(self.place(self.mentioned()), self.language)
        if re.search(r"doing|happening|做什么|干什么|干嘛", q):
            return self.doing()
        return self.name()

    def mentioned(self) -> list[str]:
        """Return the keys of the names that the question speaks of, in order."""
        if self.language == "zh":
            found = _MENTIONS._in_chinese(self.question)
        else:
            found = _MENTIONS._in_english(self.question)
        keys = [key for key, _ in found]
        return keys or (["person"] if _PEOPLE.search(self.question) else [])

    # ---- what the evidence says

    def support(self, key: str) -> float:
        """Return how strongly anything in the evidence is called so, from 0 to 1."""
        e = self.evidence
        top = sum(float(p) for c, p in zip(e.top, e.top_shares, strict=True) if is_a(IMAGENET[int(c)], key))
        cells = max(
            sum(float(p) for c, p in zip(cs, ps, strict=True) if is_a(IMAGENET[int(c)], key))
            for cs, ps in zip(e.classes, e.shares, strict=True)
        )
        boxes = max((box.score for box in e.boxes if is_a(_detected(box.name), key)), default=0.0)
        return max(top, 0.8 * cells, boxes)

    def boxes(self, key: str, least: float = 0.0) -> list[tuple[float, Box, Tensor]]:
        """Return (score, edges, colours) of the boxes of a name, the surest first."""
        e = self.evidence
        found = [
            (b.score, (b.left, b.top, b.right, b.bottom), paint)
            for b, paint in zip(e.boxes, e.painted, strict=True)
            if b.score >= least and is_a(_detected(b.name), key)
        ]
        return sorted(found, key=lambda f: -f[0])

    def main(self, kind: str | None = None) -> str | None:
        """Return the surest name, of a kind if one is given."""
        e, scores = self.evidence, dict[str, float]()
        for c, p in zip(e.top, e.top_shares, strict=True):
            scores[IMAGENET[int(c)]] = scores.get(IMAGENET[int(c)], 0) + float(p)
        for b in e.boxes:
            key = _detected(b.name)
            scores[key] = max(scores.get(key, 0), b.score * (b.right - b.left) ** 0.25 * (b.bottom - b.top) ** 0.25)
        for cs, ps in zip(e.classes, e.shares, strict=True):
            for c, p in zip(cs, ps, strict=True):
                key = IMAGENET[int(c)]
                scores[key] = max(scores.get(key, 0), 0.4 * float(p))
        fitting = {k: s for k, s in scores.items() if kind is None or (is_a(k, kind) and k != kind)}
        return max(fitting, key=fitting.__getitem__, default=None)

    def colour(self, keys: Sequence[str]) -> str:
        """Return the colour of the first name that the evidence places, else of the middle of the picture."""
        for key in keys:
            if (boxes := self.boxes(key)) and boxes[0][0] > 0.3:
                return main_colour(boxes[0][2])[0]
            if self.support(key) > 0.15:
                return main_colour(self._cell_colours(key))[0]
        return main_colour(self.evidence.colours[[5, 6, 9, 10]].mean(0))[0]

    def _weights(self, key: str) -> Tensor:
        e = self.evidence
        named = e.shares.new_tensor([[is_a(IMAGENET[int(c)], key) for c in cs] for cs in e.classes])
        return (named * e.shares).sum(1)[GLOBAL * GLOBAL :]

    def _cell_colours(self, key: str) -> Tensor:
        weights = self._weights(key) + 1e-4
        return (weights[:, None] * self.evidence.colours[GLOBAL * GLOBAL :]).sum(0) / weights.sum()

    def place(self, keys: Sequence[str]) -> str:
        """Return where the first name is, as a key of `phrases.PLACES`."""
        for key in keys:
            if boxes := self.boxes(key):
                return place_of(Thing(name=key, colour=None, box=boxes[0][1])) or _nearest(boxes[0][1])
            weights = self._weights(key)
            if float(weights.max()) > 0.05:
                grid = weights.unflatten(0, (8, 8))
                at = (grid.new_tensor(range(8)) + 0.5) / 8
                x, y = (float((grid.sum(d) * at).sum() / grid.sum()) for d in (0, 1))
                return _nearest((x - 0.1, y - 0.1, x + 0.1, y + 0.1))
        return ""

    # ---- kinds of questions

    def text(self) -> str:
        """Answer what is written, or whether anything is."""
        said = " ".join(t.text for t in self.evidence.texts or ())
        if not said:
            return "没有文字。" if self.language == "zh" else "There is no text."
        return phrases.it_says(said, self.language)

    def count(self) -> str:
        """Answer how many."""
        keys = self.mentioned() or ["person"]
        number = len(self.boxes(keys[0], COUNTED)) or int(self.support(keys[0]) > THERE)
        return phrases.many(keys[0], number, self.language)

    def choice(self) -> str:
        """Answer which of two it is: places, scenes, tints, times or names."""
        q = self.question
        if _OUT.search(q) and _IN.search(q):
            return _SCENES[self.language][self.outdoors()]
        if _NIGHT.search(q) and _DAY.search(q):
            return _TIMES[self.language][self.night()]
        if _MONO.search(q):
            return _TINTS[self.language][self.evidence.monochrome]
        if sum(bool(re.search(p, q)) for p in _PLACES.values()) > 1:
            return phrases.place(self.place(self.mentioned()), self.language)
        keys = self.mentioned()
        if not keys:
            return phrases.CANNOT_TELL[self.language]
        return phrases.one(max(keys[-2:], key=self.support), self.language)

    def check(self) -> str:
        """Answer yes or no."""
        q, keys = self.question, self.mentioned()
        colour = next(
            (c for c in COLOURS if re.search(rf"\b{c.replace('gray', 'gr[ae]y')}\b|{COLOURS[c][0]}色", q)), None
        )
        if _MONO.search(q) or _TINT.search(q):
            yes = self.evidence.monochrome == bool(_MONO.search(q))
        elif (_OUT.search(q) or _IN.search(q)) and not keys:
            yes = self.outdoors() == bool(_OUT.search(q))
        elif re.search(r"\bnight|\bday|白天|晚上", q):
            yes = self.night() == bool(_NIGHT.search(q))
        elif colour is not None:
            yes = self.colour(keys) == colour
        elif keys and (where := [p for p, words in _PLACES.items() if re.search(words, q)]):
            place = self.place(keys)
            yes = any(p in place.split() or p == place for p in where)
        elif keys:
            asked = keys[1] if len(keys) > 1 and keys[0] in ("animal", "thing", "vehicle") else keys[0]
            yes = self.support(asked) > THERE
        else:
            yes = True
        return ("有。" if yes else "没有。") if self.language == "zh" else ("Yes." if yes else "No.")

    def doing(self) -> str:
        """Answer with the likeliest activity of what is there."""
        main = self.main() or ""
        word = "flying" if main and is_a(main, "bird") else "standing"
        return phrases.doing(word, self.language)

    def name(self) -> str:
        """Answer what it is, of the kind that is asked for."""
        kind = next((k for k in self.mentioned() if k in KINDS), None)
        found = self.main(kind) or self.main()
        return phrases.one(found, self.language) if found else phrases.CANNOT_TELL[self.language]

    def outdoors(self) -> bool:
        """Tell by what the cells show whether the picture was taken outdoors."""
        from mini.natural.simulate import _setting

        e, total = self.evidence, 0.0
        for cs, ps in zip(e.classes, e.shares, strict=True):
            for c, p in zip(cs, ps, strict=True):
                inside = _setting(IMAGENET[int(c)])
                total += 0.0 if inside is None else float(p) * (1 if not inside else -1)
        return total > -2

    def night(self) -> bool:
        """Tell by its brightness whether it was taken at night."""
        return self.evidence.brightness < 0.27


def _detected(name: str) -> str:
    return COCO[DETECTED.index(name)]


def _nearest(box: Box) -> str:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    across = "left" if x < 0.4 else "right" if x > 0.6 else ""
    down = "top" if y < 0.3 else "bottom" if y > 0.72 else ""
    return f"{down} {across}".strip()
