"""The names of `concepts.py` in Chinese, each with the measure word that counts it.

They follow the Chinese names and keywords of Unicode's annotations (CLDR, as `emojibase-data` carries them) wherever
one of those is the plain word for the thing; every name is another one, so that it says which thing is meant.
"""

from __future__ import annotations

# measure word: concept=name, ...
_TABLE = """
只: monkey=猴子, gorilla=大猩猩, wolf=狼, fox=狐狸, raccoon=浣熊, cat=猫, lion=狮子, tiger=老虎, leopard=豹子,
  unicorn=独角兽, deer=鹿, sheep=绵羊, goat=山羊, llama=羊驼, giraffe=长颈鹿, mouse=老鼠, rat=大鼠,
  hamster=仓鼠, rabbit=兔子, beaver=海狸, hedgehog=刺猬, bat=蝙蝠, bear=熊, koala=考拉, panda=熊猫,
  sloth=树懒, otter=水獭, skunk=臭鼬, kangaroo=袋鼠, badger=獾, frog=青蛙, turtle=乌龟, lizard=蜥蜴,
  dinosaur=恐龙, dolphin=海豚, seal=海豹, octopus=章鱼, squid=乌贼, snail=蜗牛, jellyfish=水母, turkey=火鸡,
  chicken=母鸡, rooster=公鸡, chick=小鸡, penguin=企鹅, dove=鸽子, eagle=老鹰, duck=鸭子, swan=天鹅,
  owl=猫头鹰, flamingo=火烈鸟, peacock=孔雀, parrot=鹦鹉, goose=鹅, butterfly=蝴蝶, ant=蚂蚁, bee=蜜蜂,
  beetle=甲虫, ladybug=瓢虫, cricket=蟋蟀, mosquito=蚊子, fly=苍蝇, crab=螃蟹, lobster=龙虾, shrimp=虾,
  spider=蜘蛛, scorpion=蝎子, shell=海螺, balloon=气球, kite=风筝, ring=戒指, bell=铃铛, sock=袜子, shoe=鞋子,
  sandal=凉鞋, boot=靴子, watch=手表, bulb=灯泡
条: dog=狗, crocodile=鳄鱼, snake=蛇, dragon=龙, whale=鲸鱼, fish=鱼, blowfish=河豚, shark=鲨鱼,
  caterpillar=毛毛虫, worm=蠕虫, cucumber=黄瓜, canoe=独木舟, rainbow=彩虹, tie=领带, jeans=牛仔裤,
  scarf=围巾, dress=连衣裙
匹: horse=马, zebra=斑马
头: donkey=驴, cow=奶牛, pig=猪, camel=骆驼, elephant=大象, rhino=犀牛, hippo=河马, garlic=大蒜
朵: rose=玫瑰, sunflower=向日葵, tulip=郁金香, hibiscus=木槿, mushroom=蘑菇, cloud=云
棵: cactus=仙人掌, palm=棕榈树, tree=树, pine=松树, clover=三叶草, broccoli=西兰花
根: banana=香蕉, carrot=胡萝卜, corn=玉米, pepper=辣椒, croissant=羊角面包, baguette=法棍, hotdog=热狗,
  lollipop=棒棒糖, candle=蜡烛
颗: strawberry=草莓, cherry=樱桃, candy=糖果, star=星星, diamond=钻石, bomb=炸弹, pill=药丸
个: melon=甜瓜, watermelon=西瓜, tangerine=橘子, lemon=柠檬, lime=青柠, pineapple=菠萝, mango=芒果,
  apple=苹果, pear=梨, peach=桃子, kiwi=猕猴桃, coconut=椰子, avocado=牛油果, tomato=番茄, eggplant=茄子,
  potato=土豆, onion=洋葱, pumpkin=南瓜, bread=面包, pretzel=椒盐卷饼, bagel=百吉饼, hamburger=汉堡,
  sandwich=三明治, taco=玉米卷饼, burrito=墨西哥卷饼, egg=鸡蛋, sushi=寿司, doughnut=甜甜圈, cake=蛋糕,
  cupcake=纸杯蛋糕, pie=馅饼, skateboard=滑板, fountain=喷泉, sun=太阳, moon=月亮, snowman=雪人, trophy=奖杯,
  anchor=船锚, magnet=磁铁, gift=礼物, basketball=篮球, baseball=棒球, volleyball=排球, football=足球,
  handbag=手提包, backpack=背包, battery=电池, plug=插头, microphone=麦克风, clock=闹钟, hourglass=沙漏,
  joystick=操纵杆, keyboard=键盘, compass=指南针, gear=齿轮, bucket=水桶, basket=篮子, paperclip=回形针,
  pushpin=图钉, boomerang=回旋镖, toilet=马桶, bathtub=浴缸, cup=杯子, jar=罐子, envelope=信封,
  clipboard=剪贴板, folder=文件夹, briefcase=公文包, mailbox=邮箱, school=学校
串: grape=葡萄
块: pancake=煎饼, waffle=华夫饼, cheese=奶酪, pizza=披萨, cookie=饼干, medal=奖牌, soap=肥皂
片: bacon=培根, snowflake=雪花
桶: popcorn=爆米花
杯: beer=啤酒, wine=葡萄酒, cocktail=鸡尾酒, milk=牛奶, coffee=咖啡
辆: bus=公交车, ambulance=救护车, taxi=出租车, car=汽车, truck=卡车, tractor=拖拉机, motorcycle=摩托车,
  scooter=踏板车, bicycle=自行车, tram=有轨电车
列: train=火车, locomotive=蒸汽火车
架: airplane=飞机, helicopter=直升机, piano=钢琴, accordion=手风琴, microscope=显微镜, telescope=望远镜,
  ladder=梯子
枚: rocket=火箭, coin=硬币
艘: sailboat=帆船, ship=轮船
座: castle=城堡, church=教堂, mosque=清真寺, factory=工厂, house=房子, stadium=体育场, volcano=火山,
  mountain=山
所: hospital=医院
顶: tent=帐篷, crown=皇冠, hat=帽子, cap=鸭舌帽
团: flame=火焰
把: umbrella=雨伞, guitar=吉他, violin=小提琴, banjo=班卓琴, hammer=锤子, axe=斧头, saw=锯子, wrench=扳手,
  screwdriver=螺丝刀, broom=扫帚, scissors=剪刀, key=钥匙, lock=锁, ruler=尺子, toothbrush=牙刷, razor=剃须刀,
  sword=剑, bow=弓箭, chair=椅子, spoon=勺子, knife=刀, teapot=茶壶
副: glasses=眼镜, sunglasses=墨镜, headphone=耳机
件: shirt=T恤, coat=外套, kimono=和服
支: saxophone=萨克斯管, trumpet=小号, flashlight=手电筒, thermometer=温度计, pencil=铅笔, pen=钢笔,
  crayon=蜡笔, paintbrush=画笔, syringe=注射器
面: drum=鼓, shield=盾牌, mirror=镜子
部: phone=手机, telephone=电话
台: laptop=笔记本电脑, printer=打印机, camera=照相机, television=电视机, radio=收音机
扇: door=门, window=窗户
张: bed=床
本: book=书, calendar=日历
份: newspaper=报纸
幅: scroll=卷轴
"""


def _parse(table: str) -> dict[str, tuple[str, str]]:
    names, measure = {}, ""
    for line in table.splitlines():
        head, colon, rest = line.partition(":")
        if colon:
            measure, line = head.strip(), rest
        for entry in filter(None, (e.strip() for e in line.split(","))):
            concept, _, name = entry.partition("=")
            names[concept] = (name, measure)
    return names


NAMES: dict[str, tuple[str, str]] = _parse(_TABLE)  # concept -> name, measure word

# The kinds of concepts.py and of the tower's classes, where they are not concepts themselves.
KINDS: dict[str, str] = {
    "animal": "动物", "bird": "鸟", "insect": "昆虫", "creature": "小动物", "plant": "植物", "fruit": "水果",
    "vegetable": "蔬菜", "food": "食物", "drink": "饮料", "vehicle": "交通工具", "building": "建筑", "thing": "物品",
    "ball": "球", "clothes": "衣物", "instrument": "乐器", "device": "设备", "tool": "工具", "furniture": "家具",
    "utensil": "餐具", "paper": "纸品", "ape": "猿", "flower": "花", "boat": "船", "computer": "电脑", "weapon": "武器",
    "bottle": "瓶子", "container": "容器", "landscape": "地貌", "person": "人", "covering": "遮盖物", "sheep": "羊",
}  # fmt: skip

COLOURS: dict[str, str] = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "purple": "紫色",
    "pink": "粉色", "brown": "棕色", "black": "黑色", "white": "白色", "gray": "灰色",
}  # fmt: skip
