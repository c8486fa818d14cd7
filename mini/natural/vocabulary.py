"""List the pieces of text in questions and answers that a tokenizer should hold as one token each."""

from __future__ import annotations

import re

from mini.natural import phrases, wordings_chinese, wordings_english, wordings_unanswerable
from mini.natural.grammar import expand
from mini.natural.names import ACTIONS, COLOURS, NAMES

_CHINESE = re.compile(r"[一-鿿]")
_FORMS = (
    "照片里有", "黑白照片里有", "图里有", "图里没有", "图里", "看图无法判断", "写着", "我确定", "我认为", "室内",
    "室外", "在室内", "在室外",
    "白天", "晚上", "黑白", "彩色", "文字", "很多", "请问", "谢谢", "哪里", "哪种", "颜色", "多少", "什么", "还是",
    "是不是", "有没有",
    "看到", "这张", "图片", "照片", "图像", "吗", "的", "是", "在", "有", "没有", "不是", "很", "暗", "亮",
)  # fmt: skip


def chinese_pieces() -> list[str]:
    """Return the Chinese names, measure words and forms of the answers, then every character that a question uses.

    Names of ImageNet classes that nobody asks about are left to their characters.
    """
    words: set[str] = set(_FORMS) | set(COLOURS.values()) | set(phrases.NUMBERS["zh"]) | set(ACTIONS.values())
    words |= {chinese for _, chinese in phrases.PLACES.values()}
    for name in NAMES.values():
        words.add(name.measure)
        if name.everyday:
            words |= {name.chinese, *name.chinese_synonyms}
    texts = [name.chinese for name in NAMES.values()]
    for source in (wordings_chinese.TRAIN, wordings_chinese.HELD_OUT):
        texts += [line for lines in source.values() for line in lines]
    texts += [*wordings_unanswerable.TRAIN["zh"], *wordings_unanswerable.HELD_OUT["zh"]]
    texts += [word for fillers in wordings_unanswerable.FILLERS["zh"].values() for word in fillers]
    characters = {c for text in (*texts, *words) for c in text if _CHINESE.match(c)}
    return sorted(words) + sorted(characters - words)


def english_words() -> list[str]:
    """Return the English words of everyday names, answers and wordings."""
    words = {"Yes", "No", "cannot", "tell", "It", "says", "sure", "think", "There", "photo", "picture"}
    texts = [t for name in NAMES.values() if name.everyday for t in (name.text, name.plural)]
    texts += [*COLOURS, *ACTIONS, *phrases.NUMBERS["en"], *(english for english, _ in phrases.PLACES.values())]
    for source in (wordings_english.TRAIN, wordings_english.HELD_OUT):
        texts += [t for lines in source.values() for line in lines for t in expand(line)[:40]]
    for text in texts:
        words |= set(re.findall(r"(?<![{~\w])[A-Za-z]{2,}(?![\w}])", text))
    return sorted(words)
