"""The names that `lavida-mini` is taught, with their plural, kind and emoji labels.

Every name is one word, so that the tokenizer can hold it as one token everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

# kind: "name[/plural][=emoji label|emoji label...]", ...; the label defaults to the name.
_TABLE = """
animal: monkey=monkey|monkey face, gorilla, dog=dog|dog face, wolf/wolves, fox/foxes, raccoon, cat=cat|cat face, lion,
  tiger=tiger|tiger face, leopard, horse=horse|horse face, donkey, unicorn, zebra, deer/deer, cow=cow|cow face,
  pig=pig|pig face, sheep/sheep=ewe|ram, goat, camel=camel|two-hump camel, llama, giraffe, elephant, rhino=rhinoceros,
  hippo=hippopotamus, mouse/mice=mouse|mouse face, rat, hamster, rabbit=rabbit|rabbit face, beaver, hedgehog, bat, bear, koala,
  panda, sloth, otter, skunk, kangaroo, badger, frog, crocodile, turtle, lizard, snake, dragon=dragon|dragon face,
  dinosaur=sauropod|T-Rex, whale=whale|spouting whale, dolphin, seal, octopus/octopuses, squid/squid, snail, jellyfish/jellyfish
bird: turkey, chicken, rooster, chick=baby chick|front-facing baby chick, penguin, dove, eagle, duck, swan, owl, flamingo,
  peacock, parrot, goose/geese
fish: fish/fish=fish|tropical fish, blowfish/blowfish, shark
insect: butterfly, caterpillar=bug, ant, bee=honeybee, beetle, ladybug=lady beetle, cricket, mosquito/mosquitoes, fly
creature: crab, lobster, shrimp/shrimp, spider, scorpion, worm, shell=spiral shell
plant: rose, sunflower, tulip, hibiscus/hibiscuses, cactus/cactuses, mushroom, palm=palm tree, tree=deciduous tree,
  pine=evergreen tree, clover=four leaf clover|shamrock
fruit: melon, watermelon, tangerine, lemon, lime, banana, pineapple, mango/mangoes, apple=red apple|green apple, pear,
  peach/peaches, cherry=cherries, strawberry, kiwi=kiwi fruit, coconut, avocado, grape=grapes
vegetable: tomato/tomatoes, eggplant, potato/potatoes, carrot, corn/corn=ear of corn, cucumber, broccoli/broccoli, garlic/garlic,
  onion, pumpkin=jack-o-lantern, pepper=hot pepper
food: bread/bread, croissant, baguette=baguette bread, pretzel, bagel, pancake/pancakes=pancakes, waffle, cheese/cheese=cheese wedge,
  bacon/bacon, hamburger, pizza, hotdog=hot dog, sandwich/sandwiches, taco, burrito, egg, popcorn/popcorn,
  sushi/sushi, doughnut, cookie, cake=birthday cake|shortcake, cupcake, pie, lollipop, candy
drink: beer/beers=beer mug, wine/wines=wine glass, cocktail=cocktail glass, milk/milk=glass of milk, coffee/coffees=hot beverage
vehicle: bus/buses=bus|oncoming bus, ambulance, taxi=taxi|oncoming taxi, car=automobile|oncoming automobile,
  truck=delivery truck|articulated lorry, tractor, motorcycle, scooter=motor scooter, bicycle, train=train|high-speed train|metro,
  locomotive, tram=tram car|tram, airplane, helicopter, rocket, sailboat, canoe, ship=ship|passenger ship, skateboard
building: castle, church/churches, mosque, hospital, school, factory, house=house|house with garden, tent, fountain, stadium
thing: volcano/volcanoes, mountain=mountain|snow-capped mountain, sun=sun|sun with face, moon=crescent moon, star, cloud, rainbow,
  snowflake, snowman/snowmen=snowman|snowman without snow, flame=fire, umbrella, balloon, kite, crown, diamond=gem stone, ring,
  trophy, medal=sports medal|military medal, bomb, anchor, magnet, coin, gift=wrapped gift, candle, bell
ball: basketball, baseball, volleyball, football=soccer ball
clothes: glasses/glasses, sunglasses/sunglasses, tie=necktie, shirt=t-shirt, jeans/jeans, scarf/scarves, coat, sock=socks, dress/dresses, kimono,
  shoe=man’s shoe|running shoe, sandal=woman’s sandal, boot=woman’s boot|hiking boot, hat=top hat|woman’s hat, cap=billed cap, handbag,
  backpack
instrument: saxophone, trumpet, accordion, guitar, piano=musical keyboard, violin, banjo, drum
device: phone=mobile phone, telephone, battery, plug=electric plug, laptop, printer, keyboard, camera=camera|camera with flash,
  television, radio, microphone, headphone, bulb=light bulb, flashlight, watch/watches, clock=alarm clock|mantelpiece clock, hourglass/hourglasses=hourglass done|hourglass not done,
  joystick, microscope, telescope, thermometer, compass/compasses
tool: hammer, axe, saw=carpentry saw, wrench/wrenches, screwdriver, gear, ladder, broom, bucket, basket, scissors/scissors,
  key=key|old key, lock=locked|unlocked, ruler=straight ruler|triangular ruler, pencil, pen, crayon, paintbrush/paintbrushes, paperclip, pushpin=pushpin|round pushpin,
  syringe, pill, toothbrush/toothbrushes, soap/soap, razor, sword=dagger, bow=bow and arrow, shield, boomerang
furniture: door, window, mirror, bed, chair, toilet, bathtub
utensil: spoon, knife/knives=kitchen knife, teapot, cup=cup with straw, jar
paper: book=closed book|green book|blue book|orange book, scroll, newspaper, envelope, calendar, clipboard, folder=file folder, briefcase, mailbox/mailboxes=closed mailbox with raised flag|open mailbox with raised flag
"""

KINDS = tuple(line.split(":")[0] for line in _TABLE.splitlines() if ":" in line)

# Never trained on: split (iii).
UNSEEN = frozenset(
    "otter badger swan cricket hibiscus lime pepper burrito milk canoe mosque sunglasses banjo razor mirror scroll".split()
)

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")


@dataclass(frozen=True, kw_only=True)
class Concept:
    """A thing that can be named: its word, its plural, its kind, the emoji labels that draw it."""

    name: str
    plural: str
    kind: str
    labels: tuple[str, ...]

    @property
    def article(self) -> str:
        """Return "a" or "an"."""
        return "an" if self.name[0] in "aeiou" and not self.name.startswith("uni") else "a"


def _plural(name: str) -> str:
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    return name + "s"


def _parse(table: str) -> dict[str, Concept]:
    concepts = {}
    kind = ""
    for line in table.splitlines():
        head, colon, rest = line.partition(":")
        if colon:
            kind, line = head.strip(), rest
        for entry in filter(None, (e.strip() for e in line.split(","))):
            word, _, labels = entry.partition("=")
            name, _, plural = word.partition("/")
            concepts[name] = Concept(
                name=name,
                plural=plural or _plural(name),
                kind=kind,
                labels=tuple(labels.split("|")) if labels else (name,),
            )
    return concepts


CONCEPTS: dict[str, Concept] = _parse(_TABLE)
