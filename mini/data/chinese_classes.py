"""Chinese names of the tower's 1,000 ImageNet classes, from the list in PyPI's `clip-benchmark` (MIT).

That list was translated for Chinese-CLIP (arXiv 2211.01335). The classes below were corrected by hand: names of
another thing ("学士" for a mortarboard), one name for two neighbouring classes, or no usual word.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from lavida.errors import DataError
from lavida.text.labels import Label
from mini.data.chinese import kind_name

FILE = Path("clip_benchmark", "datasets", "cn_classnames.json")

_RIGHT = {
    13: "灯草鹀", 14: "靛蓝彩鹀", 15: "知更鸟", 16: "鹎", 20: "河乌", 22: "白头海雕", 29: "美西螈", 42: "飞蜥",
    54: "猪鼻蛇", 70: "盲蛛", 76: "捕鸟蛛", 78: "蜱虫", 80: "黑琴鸡", 81: "雷鸟", 83: "草原松鸡", 86: "山鹑",
    97: "公鸭", 101: "长牙象", 110: "扁形虫", 114: "蛞蝓", 115: "海蛞蝓", 126: "等足虫", 129: "琵鹭",
    133: "麻鳽", 136: "黑水鸡", 137: "骨顶鸡", 148: "虎鲸", 149: "儒艮", 154: "京巴犬", 157: "蝴蝶犬",
    164: "蓝斑猎浣熊犬", 168: "红骨猎浣熊犬", 216: "克伦伯猎犬", 251: "斑点狗", 252: "猴头梗", 254: "巴哥犬",
    263: "彭布罗克柯基犬", 264: "卡迪根柯基犬", 271: "红狼", 272: "郊狼", 282: "虎猫", 296: "北极熊",
    299: "狐獴", 302: "步行虫", 304: "叶甲", 322: "眼蝶", 323: "帝王蝶", 325: "黄粉蝶", 329: "海参",
    334: "豪猪", 335: "狐松鼠", 350: "北山羊", 355: "美洲驼", 358: "艾鼬", 369: "合趾猿", 373: "猕猴",
    374: "叶猴", 377: "狨猴", 383: "环尾狐猴", 393: "小丑鱼", 399: "阿拉伯罩袍", 427: "木桶", 428: "手推车",
    431: "婴儿摇篮", 436: "旅行车", 448: "鸟屋", 456: "弓", 457: "领结", 458: "铜牌", 459: "胸罩",
    461: "护胸甲", 466: "高速列车", 473: "开罐器", 480: "自动取款机", 493: "五斗橱", 502: "木鞋", 506: "线圈",
    509: "糖果店", 521: "慢炖锅", 529: "尿布", 532: "餐桌", 544: "荷兰锅", 551: "粉饼", 552: "羽毛围巾",
    553: "文件柜", 556: "壁炉屏", 564: "四柱床", 576: "贡多拉", 588: "带盖篮子", 589: "吹风机", 590: "掌上电脑",
    600: "钩子", 601: "撑裙", 610: "针织衫", 616: "绳结", 617: "白大褂", 630: "乐福鞋", 638: "连体泳装",
    639: "连体泳衣", 643: "面具", 656: "小型客车", 660: "活动房屋", 665: "轻便摩托车", 666: "研钵",
    667: "学士帽", 670: "小型摩托车", 672: "登山帐篷", 680: "奶嘴", 681: "笔记本电脑", 684: "陶笛",
    687: "管风琴", 705: "客运车厢", 716: "尖桩篱笆", 718: "栈桥", 729: "碗碟架", 730: "犁", 731: "马桶搋",
    733: "杆子", 747: "沙袋", 748: "手袋", 753: "暖气片", 757: "房车", 758: "渔线轮", 770: "运动鞋",
    800: "老虎机", 813: "锅铲", 822: "钢鼓", 824: "披肩", 828: "滤网", 834: "西装", 848: "磁带播放机",
    850: "泰迪熊", 853: "茅草屋顶", 854: "剧院幕布", 861: "马桶座圈", 867: "半挂卡车", 877: "旋转闸门",
    894: "衣柜", 911: "羊毛", 918: "填字游戏", 921: "书套", 927: "乳脂松糕", 929: "冰棍", 941: "橡果南瓜",
    942: "奶油南瓜", 950: "橙子", 961: "面团", 962: "肉糕", 964: "肉馅饼", 965: "墨西哥卷饼", 992: "伞菌",
    998: "玉米穗",
}  # fmt: skip


def with_chinese(labels: list[Label], package: Path) -> list[Label]:
    """Return the classes with a Chinese name and kinds each; `package` is the unpacked wheel. Raises DataError."""
    path = package / FILE
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["imagenet1k"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"cannot read {path} ({error!r}): delete {package} and fetch it again") from None
    if len(names) != len(labels):
        raise DataError(f"{path} names {len(names)} classes, not {len(labels)}: delete {package} and fetch it again")
    return [
        _both(label, _RIGHT.get(i) or plain(name)) for i, (label, name) in enumerate(zip(labels, names, strict=True))
    ]


def plain(name: str) -> str:
    """Return the first of several names, without parentheses."""
    bare = re.sub(r"[（(].*?[）)]", "", name)
    return re.split(r"[；;，,]", bare)[0].strip()


def _both(label: Label, name: str) -> Label:
    chinese = Label(name=name, kinds=tuple(kind_name(kind) for kind in label.kinds))
    return Label(name=label.name, kinds=label.kinds, others={"zh": chinese})
