"""Cut texts into words to compare them: lower case, without punctuation, Chinese characters one by one."""

from __future__ import annotations

import re


def words(text: str) -> list[str]:
    """Return lower-case runs of letters, digits and apostrophes, and single Chinese characters; no punctuation."""
    return re.findall(r"[a-z0-9']+|[\u4e00-\u9fff]", text.lower())


def exact(answer: str, truth: str) -> bool:
    """Report whether both have the same words in the same order."""
    return words(answer) == words(truth)
