"""Emoji drawings of the iconify sets, found by the emoji's label or by the older names that each set keeps."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lavida.errors import DataError
from mini.data.concepts import CONCEPTS


@dataclass(frozen=True, kw_only=True)
class FoundPicture:
    """Hold a picture that shows a concept, before trimming."""

    concept: str
    style: str
    package: str
    licence: str
    caption: str
    picture: Image.Image  # RGBA


ICON_SETS = (
    "emojione emojione-v1 fluent-emoji fluent-emoji-flat fluent-emoji-high-contrast fxemoji noto noto-v1 openmoji "
    "streamline-emojis twemoji"
).split()

# More emoji that show the concept beside the labels of concepts.py.
_MORE = """
dog=poodle|guide dog|service dog; cat=black cat|grinning cat|cat with wry smile; horse=carousel horse
bear=polar bear; chick=hatching chick; train=bullet train; bus=minibus|trolleybus; airplane=small airplane
pine=Christmas tree; ship=ferry; car=police car|oncoming police car|racing car|sport utility vehicle
truck=pickup truck|fire engine; tent=circus tent; castle=Japanese castle; house=derelict house
moon=full moon|full moon face|first quarter moon; star=glowing star
umbrella=closed umbrella|umbrella with rain drops; shoe=high-heeled shoe|flat shoe; sandal=thong sandal
football=american football|rugby football; clock=timer clock; camera=video camera; pen=fountain pen
bread=flatbread; book=open book|notebook with decorative cover
envelope=e-mail|love letter|envelope with arrow|incoming envelope; calendar=tear-off calendar|spiral calendar
folder=open file folder; newspaper=rolled-up newspaper; pepper=bell pepper
mailbox=closed mailbox with lowered flag|open mailbox with lowered flag; microphone=studio microphone
cup=teacup without handle; lock=locked with key|locked with pen; handbag=clutch bag; shirt=running shirt
phone=mobile phone with arrow; paperclip=linked paperclips
"""

# The same emoji under the names that the older sets use; written without hyphens, as all names are compared.
_ALIASES = """
wolf=wolfface; fox=foxface; bear=bearface; lion=lionface; unicorn=unicornface; frog=frogface; hamster=hamsterface
panda=pandaface; raccoon=raccoonface; dog=dogside; dog face=dog; cat=catside; cat face=cat; tiger=tigerside
tiger face=tiger; pig=pigside; pig face=pig; mouse=mouseside; mouse face=mouse; rabbit=bunnyside
rabbit face=bunny|rabbitface; two-hump camel=twohumpcamel|bactriancamel; camel=dromedarycamel|camel; T-Rex=trex
ewe=sheep; octopus=octopus; spouting whale=spoutingwhale|spurtingwhale; baby chick=babychick
front-facing baby chick=frontfacingchick; dove=doveofpeace; bug=bug; honeybee=bee|honeybee
lady beetle=ladybeetle|ladybird; shrimp=shrimp; deciduous tree=deciduoustree
evergreen tree=evergreen|evergreentree; four leaf clover=fourleafclover; palm tree=palmtree
red apple=redapple|apple; cherries=cherry|cherries; kiwi fruit=kiwifruit|kiwi; grapes=grapes|grape
eggplant=aubergine; ear of corn=earofmaize|corn|earofcorn; hot pepper=chilipepper|hotpepper
jack-o-lantern=jackolantern; pizza=sliceofpizza|pizza; birthday cake=birthdaycake; cheese wedge=cheese|cheesewedge
pancakes=pancake; egg=egg; beer mug=beermug|beer; wine glass=wineglass; hot beverage=hotbeverage
cocktail glass=cocktailglass|cocktail; glass of milk=milk|glassofmilk; automobile=automobile|car|redcar
oncoming automobile=oncomingautomobile; delivery truck=deliverytruck; articulated lorry=articulatedlorry
tram car=tramcar; high-speed train=highspeedtrain; bullet train=highspeedtrainbulletnose|bullettrain
locomotive=steamlocomotive|locomotive; motor scooter=motorscooter|scooter; castle=europeancastle|castle
house=housebuilding|house; house with garden=housewithgarden; mountain=mountain
snow-capped mountain=snowcappedmountain|snowmountains; sun with face=sunwithface; sun=blacksunwithrays|sun|sunrays
star=star|whitemediumstar; snowman=snowman; snowman without snow=snowmanwithoutsnow; gem stone=gem|gemstone
fire=fire|flame; trophy=trophy; sports medal=sportsmedal; military medal=militarymedal
wrapped gift=wrappedgift|present; soccer ball=soccerball
necktie=tie|necktie; t-shirt=tshirt|mansshirt; man’s shoe=mansshoe|mensshoe; running shoe=runningshoe|mensrunner
woman’s sandal=womanssandal|sandals; woman’s boot=womansboot|boot; hiking boot=hikingboot; top hat=tophat
woman’s hat=womanshat; billed cap=billedcap; backpack=backpack|schoolbackpack|schoolsatchel
musical keyboard=musicalkeyboard; mobile phone=mobilephone|cellphone; telephone=telephone|blacktelephone
electric plug=electricplug; laptop=laptop|laptopcomputer|personalcomputer; printer=printer
keyboard=keyboard|wiredkeyboard; camera with flash=camerawithflash; light bulb=lightbulb
flashlight=flashlight|electrictorch; mantelpiece clock=mantelpiececlock|manltepiececlock; alarm clock=alarmclock
hourglass done=hourglassdone|hourglass
hourglass not done=hourglassnotdone|hourglassflowingsand|hourglasswithflowingsand; carpentry saw=carpentrysaw|saw
old key=oldkey; locked=locked|lock; unlocked=unlocked|openlock; straight ruler=straightruler
triangular ruler=triangularruler; pencil=pencil|lowerleftpencil; pen=pen|lowerleftpen
crayon=crayon|lowerleftcrayon; paintbrush=paintbrush|lowerleftpaintbrush
fountain pen=lowerleftfountainpen|fountainpen; pushpin=pushpin|blackpushpin; round pushpin=roundpushpin
dagger=dagger|daggerknife; bow and arrow=bowandarrow; scissors=scissors|blackscissors
kitchen knife=kitchenknife|hocho; file folder=filefolder; open file folder=openfilefolder; e-mail=email
closed mailbox with raised flag=closedmailboxwithraisedflag|closedmailboxraised
open mailbox with raised flag=openmailboxwithraisedflag|openmailboxraised
closed mailbox with lowered flag=closedmailboxwithloweredflag|closedmailboxlowered
open mailbox with lowered flag=openmailboxwithloweredflag|openmailboxlowered; lollipop=lollipop
toilet=toilet|watercloset; studio microphone=studiomicrophone|studiomic; ship=ship
spiral shell=spiralshell; teacup without handle=teacupwithouthandle; circus tent=circustent
closed umbrella=closedumbrella; umbrella=umbrella
umbrella with rain drops=umbrellawithraindrops|umbrellawithraindrops; full moon=fullmoon
full moon face=fullmoonwithface|fullmoonface; tear-off calendar=tearoffcalendar
spiral calendar=spiralcalendar|spiralcalendarpad; incoming envelope=incomingenvelope
envelope with arrow=envelopewitharrow|envelopedownarrowabove; rolled-up newspaper=rolledupnewspaper
linked paperclips=linkedpaperclips; glowing star=glowingstar; racing car=racingcar|racecar
locked with key=lockedwithkey|lockandkey; locked with pen=lockedwithpen|lockwithinkpen
hatching chick=hatchingchick; grinning cat=grinningcat|grinningcatface
cat with wry smile=catwithwrysmile|catfacewithwrysmile; metro=metro; passenger ship=passengership
tram=tram|lightrail; christmas tree=christmastree
"""


def _table(text: str) -> dict[str, list[str]]:
    pairs = (entry.partition("=") for entry in re.split(r"[;\n]", text) if entry.strip())
    return {k.strip(): [v.strip() for v in values.split("|") if v.strip()] for k, _, values in pairs}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower().replace("’", ""))


_ALIAS, _EXTRA = _table(_ALIASES), _table(_MORE)


def _load(folder: Path) -> dict:
    try:
        return json.loads((folder / "icons.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(f"no icons.json in {folder}: fetch the package again") from None


def match_icons(icons: set[str], by_code: dict[str, str], codes: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield (concept, label, icon) for each icon of a set, each icon once.

    `by_code` maps a code point to an icon where the set has such a map, `codes` a label to its code point.
    """
    plain: dict[str, list[str]] = {}
    for icon in sorted(icons):
        plain.setdefault(_plain(icon), []).append(icon)
        if re.search(r"-\d$", icon):  # streamline draws some emoji two or three times
            plain.setdefault(_plain(icon[:-2]), []).append(icon)
    used: set[str] = set()
    for main in (True, False):  # a concept's own labels come before the further ones
        for concept in CONCEPTS.values():
            for label in concept.labels if main else _EXTRA.get(concept.name, ()):
                code = codes.get(label, "").lower()
                exact = by_code.get(code) or by_code.get(code.replace("-fe0f", ""))
                if exact:
                    names = [exact]
                else:
                    keys = [_plain(label), *_ALIAS.get(label, ())] if not by_code else [_plain(label)]
                    names = next((plain[k] for k in _preferred(keys, label, plain) if k in plain), [])
                for icon in names:
                    if icon not in used:
                        used.add(icon)
                        yield concept.name, label, icon


def _preferred(keys: list[str], label: str, plain: dict[str, list[str]]) -> list[str]:
    """Order aliases first where the set draws the whole animal under another name (fxemoji: dogside, dog)."""
    side = _plain(label.removesuffix(" face")) + "side"
    return keys[::-1] if side in plain or "bunnyside" in plain and "rabbit" in label else keys


def rasterise(svg: str, width: int | None = None) -> Image.Image:
    """Render a whole SVG as RGBA, at its own size or a given width. Raises DataError without resvg-py."""
    try:
        import resvg_py
    except ImportError:
        raise DataError("building the data needs resvg-py: pip install resvg-py") from None
    data = resvg_py.svg_to_bytes(svg_string=svg, skip_system_fonts=True, width=width)
    return Image.open(io.BytesIO(bytes(data))).convert("RGBA")


def render_svg(body: str, left: float, top: float, width: float, height: float, size: int) -> Image.Image:
    """Render an SVG fragment as RGBA with its long side `size`."""
    zoom = size / max(width, height)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{width * zoom}" height="{height * zoom}">'
        f"{body.replace('currentColor', '#222222')}</svg>"
    )
    return rasterise(svg)


def find_icons(folders: dict[str, Path], codes: dict[str, str], size: int = 256) -> Iterator[FoundPicture]:
    """Yield every drawing of every set; `folders` maps a set's name to its unpacked package."""
    for style, folder in folders.items():
        data = _load(folder)
        info = json.loads((folder / "info.json").read_text(encoding="utf-8"))
        own = folder / "chars.json"
        if style == "fluent-emoji":  # it has the names of its flat sibling, but no map
            own = folders["fluent-emoji-flat"] / "chars.json"
        by_code = json.loads(own.read_text(encoding="utf-8"))
        icons, aliases = data["icons"], data.get("aliases", {})
        for concept, label, name in match_icons(set(icons) | set(aliases), by_code, codes):
            parent = name
            while parent in aliases:
                parent = aliases[parent]["parent"]
            icon = icons.get(parent)
            if icon is None:
                continue
            box = [icon.get(k, data.get(k, d)) for k, d in (("left", 0), ("top", 0), ("width", 16), ("height", 16))]
            picture = render_svg(icon["body"], *box, size)
            yield FoundPicture(
                concept=concept,
                style=style,
                package=f"@iconify-json/{style}",
                licence=info["license"]["spdx"],
                caption=label,
                picture=picture,
            )


def emoji_codes(emojibase: Path) -> dict[str, str]:
    """Return label -> code points (hex, joined by hyphens) of every emoji."""
    rows = json.loads((emojibase / "en" / "data.json").read_text(encoding="utf-8"))
    return {row["label"]: row["hexcode"] for row in rows}
