"""Hold the wordings of questions about the colour of the background, in the grammar of `wordings_english`."""

from __future__ import annotations

TRAIN: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "ground": (
            "What colour is the (background|ground|floor|wall|backdrop)?",
            "What colour is the (background|backdrop) of (the|this|my) @?",
            "(Which|What) colour (has|does) the (background|ground|floor|wall|backdrop) [have]?",
            "What is the colour of the (background|ground|floor|wall|surroundings|surface)?",
            "What colour is (everything else|the rest [of the @]|what is around it|the surface under it)?",
            "What colour is it (around|behind|under) (it|this|the thing)?",
            "(Tell me|Say|Name) the colour of the (background|wall|floor|ground).",
            "On what colour of (background|surface) is (it|this) shown?",
            "And the background?",
            "The (background|wall|floor) is what colour?",
            "Which colour (do you see|is) behind (it|everything|the main thing)?",
            "Can you tell [me] the colour of the (background|wall|ground|surroundings)?",
        ),
        "ground_check": (
            "Is the (ground|floor|wall|backdrop) {colour}?",
            "Is (it|everything) {colour} (around|behind) (it|the main thing)?",
            "Would you say [that] the (background|ground|wall|floor) is {colour}?",
            "The (background|wall|floor) is {colour}, (isn't it|right)?",
            "Does the (background|wall|ground) look {colour}?",
            "Do you see a {colour} (background|wall|floor|ground)?",
            "Is there a {colour} (background|wall|surface) behind it?",
        ),
    },
    "zh": {
        "ground": (
            "(背景|地面|地板|墙|周围)是什么颜色[的]？",
            "(这张@的|@的|)背景是(什么颜色|哪种颜色)？",
            "(背景|墙壁|地上|后面)什么颜色？",
            "(告诉我|说一下)(背景|地面|墙)的颜色。",
            "(它后面|它周围|别的地方)是什么颜色？",
            "(背景|周围)的颜色是什么？",
            "那背景呢？",
        ),
        "ground_check": (
            "(背景|地面|墙|地板)是{zh_colour}[的]吗？",
            "(背景|周围|墙)是不是{zh_colour}[的]？",
            "(@的|这张@的|)背景是{zh_colour}，对吗？",
            "(后面|周围)是{zh_colour}的吗？",
            "(背景|地面)看起来是{zh_colour}吗？",
        ),
    },
}

HELD_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "en": {
        "ground": (
            "What colour surrounds it?",
            "Which colour was chosen for the (setting|scenery)?",
            "Colour of the scenery?",
            "What shade (fills|covers) the rest?",
            "Behind it, which colour?",
        ),
        "ground_check": (
            "Did they use a {colour} (setting|backcloth)?",
            "Are the surroundings {colour}?",
            "Has the rest of it a {colour} tone?",
            "{colour} all around, (yes|is it not)?",
        ),
    },
    "zh": {
        "ground": ("它被什么颜色包围着？", "背景用了哪种色？", "四周(什么色|啥色)？", "衬底是哪种色彩？"),
        "ground_check": (
            "背景用的是{zh_colour}吗？",
            "四周是{zh_colour}的吗？",
            "衬底算{zh_colour}吗？",
            "周边都是{zh_colour}？",
        ),
    },
}
