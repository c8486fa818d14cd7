"""Write questions about a picture as a whole, about activities and texts, and such as it cannot answer."""

from __future__ import annotations

from mini.natural import phrases, wordings_unanswerable
from mini.natural.asker import Asked, Asker
from mini.natural.choose import absent, action_besides, other_colour
from mini.natural.grammar import disturb, fill
from mini.natural.names import ACTIONS, COLOURS, is_a
from mini.natural.phrases import CANNOT_TELL

ABOUT_ABSENT = 0.2  # share of what cannot be told that is tried with something absent
# Kinds of things that would be noticed. Leaves, walls and clothes may well be there unseen: no reason to refuse.
_NOTICED = ("animal", "vehicle", "instrument", "furniture", "toy", "weapon", "ball")
# What fills a background of a colour: nothing that the parts have a name for.
STUFF = {
    "green": (
        ("grass", "草地"), ("lawn", "草坪"), ("meadow", "草地"), ("grass", "草"), ("foliage", "树叶"),
        ("hedge", "树篱"), ("field", "田野"), ("hill", "山坡"), ("leaf", "叶子"), ("leaves", "树叶"), ("trees", "树"),
        ("bushes", "灌木"), ("plants", "植物"), ("ground", "地面"),
    ),
    "blue": (("sky", "天空"), ("water", "水"), ("sea", "海"), ("sky", "天"), ("lake", "湖水"), ("wall", "墙")),
    "gray": (
        ("road", "路面"), ("sky", "天空"), ("street", "街道"), ("floor", "地板"), ("wall", "墙"), ("asphalt", "马路"),
        ("pavement", "人行道"), ("ground", "地面"), ("gravel", "碎石路"),
    ),
    "white": (
        ("snow", "雪"), ("wall", "墙"), ("sky", "天空"), ("tablecloth", "桌布"), ("paper", "纸"), ("ceiling", "天花板"),
    ),
    "brown": (
        ("floor", "地板"), ("ground", "地面"), ("wall", "墙"), ("soil", "泥土"), ("table top", "桌面"),
        ("sand", "沙子"), ("wood", "木头"), ("dirt", "土地"),
    ),
    "black": (("sky", "天空"), ("background", "背景"), ("floor", "地板"), ("night sky", "夜空"), ("wall", "墙")),
    "yellow": (("sand", "沙子"), ("field", "田野"), ("wall", "墙"), ("grass", "草")),
    "red": (("wall", "墙"), ("carpet", "地毯"), ("curtain", "幕布"), ("sky", "天空")),
    "orange": (("sky", "天空"), ("wall", "墙"), ("leaves on the ground", "落叶")),
}  # fmt: skip
_COLOURLESS = frozenset({"black", "white", "gray"})


def scene(a: Asker) -> Asked | None:
    """Ask whether it is indoors or outdoors."""
    if a.truth.indoors is None:
        return None
    return a.ask("scene", _SCENES[a.language][not a.truth.indoors], {})


_SCENES = {"en": ("indoors", "outdoors"), "zh": ("室内", "室外")}
_TIMES = {"en": ("day", "night"), "zh": ("白天", "晚上")}
_TINTS = {"en": ("black and white", "in color"), "zh": ("黑白", "彩色")}
_LIGHTS = {"en": ("dark", "bright"), "zh": ("暗", "亮")}


def _pair_check(a: Asker, kind: str, words: dict[str, tuple[str, str]], first: bool) -> Asked:
    """Ask whether one of two opposite words holds; `first` says that the first is right."""
    yes = a.rng.random() < 0.5
    right = words[a.language][0 if first else 1]
    if a.chinese and kind == "scene_check":
        right = "在" + right
    elif a.chinese and kind == "brightness_check":
        return a.claim(kind, first == yes, f"{'是' if yes else '不是'}，很{right}。", yes)
    return a.claim(kind, first == yes, phrases.it_is(right, yes, a.language), yes)


def scene_check(a: Asker) -> Asked | None:
    """Ask whether it is indoors (or outdoors)."""
    return None if a.truth.indoors is None else _pair_check(a, "scene_check", _SCENES, a.truth.indoors)


def daytime(a: Asker) -> Asked | None:
    """Ask whether it is day or night."""
    return None if a.truth.night is None else a.ask("daytime", _TIMES[a.language][a.truth.night], {})


def daytime_check(a: Asker) -> Asked | None:
    """Ask whether it is day (or night)."""
    return None if a.truth.night is None else _pair_check(a, "daytime_check", _TIMES, not a.truth.night)


_AROUND = {
    "en": (
        "behind it", "around it", "under it", "in the background", "that it is on", "it stands on", "that it lies on",
        "they are on", "all around", "at the back", "which is behind everything", "we see behind it",
    ),
    "zh": ("后面的", "周围的", "下面的", "背景里的", "它后面的", "脚下的", "旁边的", "四周的"),
}  # fmt: skip


def _has_ground(a: Asker) -> bool:
    """Return whether the background has one known colour and enough of it is to be seen."""
    return a.truth.ground is not None and not a.truth.monochrome and sum(t.area for t in a.truth.things) < 0.6


def ground(a: Asker) -> Asked | None:
    """Ask for the colour of the background, or of what fills it: grass, sky, a wall."""
    if not _has_ground(a) or a.truth.ground is None:
        return None
    answer, stuff = phrases.colour(a.truth.ground, a.language), STUFF.get(a.truth.ground)
    if stuff is None or a.rng.random() < 0.4:
        return a.ask("ground", answer, {})
    english, chinese = a.rng.choice(stuff)
    if a.rng.random() < 0.5:
        english, chinese = f"{english} {a.rng.choice(_AROUND['en'])}", a.rng.choice(_AROUND["zh"]) + chinese
    slots = dict.fromkeys(("the", "text", "some", "one_word"), english)
    return a.ask("ground", answer, slots | {"a": f"any {english}", "zh": chinese, "measure": "片"}, wording="colour")


def ground_check(a: Asker) -> Asked | None:
    """Ask whether the background has a colour."""
    if not _has_ground(a) or a.truth.ground is None:
        return None
    right, yes = a.truth.ground, a.rng.random() < 0.5
    said = right if yes else other_colour(right, a.rng)
    slots = {"colour": said.replace("gray", "grey"), "zh_colour": COLOURS[said]}
    answer = phrases.it_is(phrases.colour(right, a.language), yes, a.language)
    return a.ask("ground_check", answer, slots, yes=yes)


def mono(a: Asker) -> Asked | None:
    """Ask whether the picture is black and white."""
    return a.ask("mono", _TINTS[a.language][not a.truth.monochrome], {})


def mono_check(a: Asker) -> Asked | None:
    """Ask whether the picture is black and white (or in color)."""
    return _pair_check(a, "mono_check", _TINTS, a.truth.monochrome)


def brightness_check(a: Asker) -> Asked | None:
    """Ask whether the picture is dark (or bright)."""
    if a.truth.brightness == "normal":
        return None
    return _pair_check(a, "brightness_check", _LIGHTS, a.truth.brightness == "dark")


def doing(a: Asker) -> Asked | None:
    """Ask what a thing is doing."""
    found = a.pick(lambda t: t.doing in ACTIONS)
    if found is None:
        return None
    slots = a.words(found[1]) | a.flags(found[0].name, found[0])
    return a.ask("doing", phrases.doing(found[0].doing or "", a.language), slots, about=found[1], thing=found[0])


def doing_check(a: Asker) -> Asked | None:
    """Ask whether a thing is doing something."""
    found = a.pick(lambda t: t.doing in ACTIONS)
    if found is None or found[0].doing is None:
        return None
    right, yes = found[0].doing, a.rng.random() < 0.5
    said = right if yes else action_besides(right, a.rng)
    slots = a.words(found[1]) | {"doing": said, "zh_doing": ACTIONS[said]}
    answer = phrases.it_is(phrases.doing(right, a.language), yes, a.language)
    slots |= a.flags(found[0].name, found[0])
    return a.ask("doing_check", answer, slots, about=found[1], thing=found[0], yes=yes)


def text(a: Asker) -> Asked | None:
    """Ask what is written."""
    texts = a.truth.texts
    if not texts:
        if not a.truth.is_complete("text") or a.rng.random() < 0.75:  # most pictures hold none
            return None
        return a.ask("text", "没有文字。" if a.chinese else "There is no text.", a.surface())
    said = " ".join(text for text, _ in texts)
    if len(said) > 40:
        said = max(texts, key=lambda t: t[1][3] - t[1][1])[0]
    return a.ask("text", phrases.it_says(said, a.language), a.surface())


def text_check(a: Asker) -> Asked | None:
    """Ask whether anything is written."""
    yes = bool(a.truth.texts)
    if not yes and (not a.truth.is_complete("text") or a.rng.random() < 0.6):
        return None
    if a.chinese:
        answer = "有，图里有文字。" if yes else "没有，图里没有文字。"
    else:
        answer = "Yes, there is text." if yes else "No, there is no text."
    return a.ask("text_check", answer, a.surface(), yes=yes)


def unanswerable(a: Asker) -> Asked | None:
    """Ask what the picture cannot tell."""
    if a.rng.random() < ABOUT_ABSENT:
        asked = _about_absent(a)
        if asked is not None:
            return asked
    lines = (wordings_unanswerable.HELD_OUT if a.held_out else wordings_unanswerable.TRAIN)[a.language]
    text = fill(a.rng.choice(lines), a.language, a.rng, wordings_unanswerable.FILLERS[a.language])
    return Asked(
        kind="unanswerable",
        language=a.language,
        question=disturb(text, a.language, a.rng),
        answer=CANNOT_TELL[a.language],
    )


def _about_absent(a: Asker) -> Asked | None:
    """Ask for the colour, place or activity of something that is not there, or for a colour without colours."""
    if a.truth.monochrome and a.rng.random() < 0.5:
        found = a.pick(lambda t: t.colour not in _COLOURLESS)
        if found is not None:
            return a.ask("unanswerable", CANNOT_TELL[a.language], a.words(found[1]), about=found[1], wording="colour")
    other = absent(a.truth, a.rng)
    if other is None or not any(is_a(other, kind) for kind in _NOTICED):
        return None
    wording = a.rng.choice(("colour", "colour", "place", "doing") if is_a(other, "animal") else ("colour", "place"))
    return a.ask("unanswerable", CANNOT_TELL[a.language], a.words(other), about=other, wording=wording)
