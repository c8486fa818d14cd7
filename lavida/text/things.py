"""Name what evidence can name in each language: the 80 COCO classes of the detector and the 11 basic colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lavida.text.labels import Label
from lavida.text.tokenizer import Vocabulary

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "gray")
# Backgrounds and shadows are gray, black, white and brown: where a thing is to get one colour these count less.
COLOUR_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.7, 0.5)
COLOURS_ZH = ("红色", "橙色", "黄色", "绿色", "蓝色", "紫色", "粉色", "棕色", "黑色", "白色", "灰色")

_COCO = """
person 人, bicycle 自行车, car 汽车, motorcycle 摩托车, airplane 飞机, bus 公交车, train 火车, truck 卡车, boat 船,
traffic light 红绿灯, fire hydrant 消防栓, stop sign 停车标志, parking meter 停车计时器, bench 长椅, bird 鸟, cat 猫,
dog 狗, horse 马, sheep 绵羊, cow 奶牛, elephant 大象, bear 熊, zebra 斑马, giraffe 长颈鹿, backpack 背包,
umbrella 雨伞, handbag 手提包, tie 领带, suitcase 行李箱, frisbee 飞盘, skis 滑雪板, snowboard 单板滑雪板,
sports ball 球, kite 风筝, baseball bat 棒球棒, baseball glove 棒球手套, skateboard 滑板, surfboard 冲浪板,
tennis racket 网球拍, bottle 瓶子, wine glass 酒杯, cup 杯子, fork 叉子, knife 刀, spoon 勺子, bowl 碗, banana 香蕉,
apple 苹果, sandwich 三明治, orange 橙子, broccoli 西兰花, carrot 胡萝卜, hot dog 热狗, pizza 披萨, donut 甜甜圈,
cake 蛋糕, chair 椅子, couch 沙发, potted plant 盆栽, bed 床, dining table 餐桌, toilet 马桶, tv 电视,
laptop 笔记本电脑, mouse 鼠标, remote 遥控器, keyboard 键盘, cell phone 手机,
microwave 微波炉, oven 烤箱, toaster 烤面包机, sink 水槽,
refrigerator 冰箱, book 书, clock 时钟, vase 花瓶, scissors 剪刀, teddy bear 泰迪熊, hair drier 吹风机,
toothbrush 牙刷
"""
_PAIRS = [tuple(entry.strip().rsplit(" ", 1)) for entry in _COCO.replace("\n", " ").split(",")]
COCO = tuple(english for english, _ in _PAIRS)
COCO_ZH = tuple(chinese for _, chinese in _PAIRS)

# Words that are one token where the class's own name is several that mean something else.
_ONE_WORD = {"hot dog": "hotdog", "donut": "doughnut", "tv": "television", "cell phone": "phone"}


@dataclass(frozen=True, kw_only=True)
class EvidenceWords:
    """Hold the token ids of everything that evidence names: one list of ids for each class, thing and colour."""

    classes: list[list[int]]  # the tower's own classes
    kinds: list[list[int]]  # the kind of each class, empty if it has none
    classes_zh: list[list[int]]
    things: list[list[int]]  # the detector's classes
    things_zh: list[list[int]]
    colours: list[list[int]]
    colours_zh: list[list[int]]


def evidence_words(tokenizer: Vocabulary, labels: Sequence[Label]) -> EvidenceWords:
    """Encode the names of classes, things and colours."""

    def ids(words: Sequence[str]) -> list[list[int]]:
        return [tokenizer.encode(word) if word else [] for word in words]

    chinese = [label.others.get("zh") for label in labels]
    return EvidenceWords(
        classes=ids([label.name for label in labels]),
        kinds=ids([label.kind for label in labels]),
        classes_zh=ids([label.name if label else "" for label in chinese]),
        things=ids([_ONE_WORD.get(name, name) for name in COCO]),
        things_zh=ids(COCO_ZH),
        colours=ids(COLOURS),
        colours_zh=ids(COLOURS_ZH),
    )
