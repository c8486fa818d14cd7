"""Hold the words of the name table: everyday names, synonyms, ImageNet classes under the names people use."""

from __future__ import annotations

# kind: name[/plural]=Chinese name[:measure word], ...; names that the 310 taught concepts do not have.
EVERYDAY = """
person: person/people=人:个
kind: animal=动物:只, bird=鸟:只, fish/fish=鱼:条, insect=昆虫:只, fruit=水果:个, vegetable=蔬菜:个,
  food/food=食物:份,
  drink=饮料:杯, vehicle=交通工具:辆, furniture/furniture=家具:件, instrument=乐器:件, building=建筑物:座,
  clothes/clothes=衣服:件, tool=工具:件, weapon=武器:件, ball=球:个, flower=花:朵, plant=植物:棵, toy=玩具:个,
  ape=猿:只, boat=船:艘, computer=电脑:台, bottle=瓶子:个
vehicle: van=面包车:辆, submarine=潜艇:艘, fire engine=消防车:辆, police car=警车:辆
furniture: bench/benches=长椅:张, couch/couches=沙发:张, table=桌子:张, desk=书桌:张, stool=凳子:张,
  armchair=扶手椅:把,
  wardrobe=衣柜:个, bookcase=书架:个, cradle=摇篮:个
thing: traffic light=红绿灯:个, fire hydrant=消防栓:个, stop sign=停车标志:个, sign=牌子:块, street sign=路牌:块,
  parking meter=停车计时器:个, suitcase=行李箱:个, frisbee=飞盘:个, ski=滑雪板:副, snowboard=单板滑雪板:块,
  baseball bat=棒球棒:根, baseball glove=棒球手套:只, surfboard=冲浪板:块, tennis racket=网球拍:把, vase=花瓶:个,
  teddy bear=泰迪熊:个, hair dryer=吹风机:个, potted plant=盆栽:盆, sink=水槽:个, flag=旗子:面, fence=围栏:道,
  bridge=桥:座, lighthouse=灯塔:座, windmill=风车:座, statue=雕像:座, pillow=枕头:个, blanket=毯子:条, towel=毛巾:条,
  curtain=窗帘:幅, lamp=灯:盏, carpet=地毯:块, painting=画:幅, box/boxes=盒子:个, bag=袋子:个, trash can=垃圾桶:个,
  rope=绳子:根, chain=链子:条, helmet=头盔:个, mask=面具:个, wheel=轮子:个, doll=娃娃:个, puzzle=拼图:幅,
  beach/beaches=海滩:片,
  lake=湖:个, valley=山谷:个, cliff=悬崖:座, waterfall=瀑布:个, leaf/leaves=叶子:片, nest=鸟巢:个, stage=舞台:个
device: remote control=遥控器:个, microwave=微波炉:台, oven=烤箱:台, toaster=烤面包机:台, refrigerator=冰箱:台,
  washing machine=洗衣机:台, computer mouse/computer mice=鼠标:个, screen=屏幕:个, fan=电风扇:台, stove=炉子:台,
  vacuum cleaner=吸尘器:台, iron=熨斗:个, projector=投影仪:台, speaker=音箱:个
utensil: fork=叉子:把, bowl=碗:个, plate=盘子:个, wine glass/wine glasses=酒杯:个, glass/glasses=玻璃杯:个,
  mug=马克杯:个,
  pot=锅:口, frying pan=煎锅:口, tray=托盘:个, kettle=水壶:个
fruit: orange=橙子:个, fig=无花果:个, pomegranate=石榴:个, plum=李子:个
vegetable: cabbage=卷心菜:棵, cauliflower=菜花:棵, zucchini=西葫芦:根, bell pepper=甜椒:个, artichoke=洋蓟:个,
  lettuce/lettuce=生菜:棵
food: ice cream/ice creams=冰淇淋:份, spaghetti/spaghetti=意大利面:份, soup=汤:碗, salad=沙拉:份, steak=牛排:块,
  rice/rice=米饭:碗
drink: tea/tea=茶:杯, water/water=水:杯, juice/juice=果汁:杯
animal: polar bear=北极熊:只, brown bear=棕熊:只, puppy/puppies=小狗:只, kitten=小猫:只, cheetah=猎豹:只,
  cougar=美洲狮:只, lynx/lynxes=猞猁:只,
  jaguar=美洲虎:只, hyena=鬣狗:只, squirrel=松鼠:只, ox/oxen=牛:头, buffalo/buffaloes=水牛:头, bison/bison=野牛:头,
  chimpanzee=黑猩猩:只, orangutan=猩猩:只, lemur=狐猴:只, sea lion=海狮:只, starfish/starfish=海星:个, boar=野猪:头,
  antelope=羚羊:只, guinea pig=豚鼠:只, porcupine=豪猪:只, meerkat=狐獴:只, raven=乌鸦:只, coral=珊瑚:块,
  tortoise=陆龟:只
bird: pigeon=鸽子:只, pelican=鹈鹕:只, ostrich/ostriches=鸵鸟:只, hummingbird=蜂鸟:只, toucan=巨嘴鸟:只,
  crane=鹤:只, heron=鹭:只,
  stork=鹳:只, seagull=海鸥:只, sparrow=麻雀:只, woodpecker=啄木鸟:只, vulture=秃鹫:只, crow=乌鸦:只, robin=知更鸟:只
insect: dragonfly/dragonflies=蜻蜓:只, grasshopper=蚱蜢:只, cockroach/cockroaches=蟑螂:只, moth=飞蛾:只
instrument: cello=大提琴:把, harp=竖琴:架, flute=长笛:支, electric guitar=电吉他:把, trombone=长号:支,
  harmonica=口琴:个, organ=管风琴:架
clothes: suit=西装:套, glove=手套:只, skirt=裙子:条, belt=腰带:条, necklace=项链:条, bow tie=领结:个,
  swimsuit=泳衣:件, sweater=毛衣:件,
  apron=围裙:条, jacket=夹克:件, trousers/trousers=裤子:条, uniform=制服:套
flower: daisy/daisies=雏菊:朵, dandelion=蒲公英:朵, orchid=兰花:朵, lotus/lotuses=荷花:朵
weapon: gun=枪:把, rifle=步枪:支, cannon=大炮:门, tank=坦克:辆
ball: tennis ball=网球:个, golf ball=高尔夫球:个, rugby ball=橄榄球:个
building: tower=塔:座, temple=寺庙:座, palace=宫殿:座, barn=谷仓:座, skyscraper=摩天大楼:座, hut=小屋:间,
  store=商店:家, library/libraries=图书馆:座
"""

# key: synonyms that people say (English), | Chinese ones
SYNONYMS = """
dog: doggy, doggie, pooch, hound | 狗狗, 犬
cat: kitty, pussycat, kitty cat, feline | 猫咪, 猫猫, 小猫咪
person: human, human being | 人物, 人类
car: auto, automobile, motor car | 车, 轿车, 小汽车
truck: lorry | 货车, 大卡车
bus: coach | 巴士, 大巴, 公共汽车
taxi: cab, taxicab | 的士
airplane: plane, aeroplane, aircraft, jet | 客机
bicycle: bike, push bike | 单车, 脚踏车
motorcycle: motorbike, motor bike | 摩托
scooter: motor scooter, moped | 小摩托
train: railway train | 列车
helicopter: chopper |
boat: vessel | 小船, 船只
ship: vessel | 船
van: minivan | 小货车
fire engine: fire truck, firetruck | 救火车
couch: sofa, settee | 长沙发
television: TV, telly, TV set | 电视
phone: mobile phone, cell phone, cellphone, smartphone, mobile | 手机, 智能手机, 移动电话
laptop: notebook computer, laptop computer, notebook | 手提电脑, 笔记本
computer: PC | 计算机, 电脑
keyboard: computer keyboard | 电脑键盘
computer mouse: PC mouse |
refrigerator: fridge | 电冰箱
microwave: microwave oven |
remote control: remote, TV remote | 遥控
hair dryer: hair drier, blow dryer |
trash can: garbage can, rubbish bin, bin, trash bin, dustbin | 垃圾箱
traffic light: traffic signal, stoplight | 交通灯, 信号灯
fire hydrant: hydrant |
cup: teacup |
wine glass: goblet | 高脚杯
doughnut: donut | 面包圈
hamburger: burger | 汉堡包
cookie: biscuit |
candy: sweet |
pizza: pizza pie | 比萨, 匹萨
ice cream: icecream | 冰激凌, 雪糕
tangerine: mandarin |
eggplant: aubergine |
zucchini: courgette |
corn: maize |
shrimp: prawn |
rabbit: bunny | 小兔子, 兔
pig: hog, piggy | 小猪
horse: pony | 马儿
cow: cattle | 牛
chicken: hen | 鸡
rooster: cock, cockerel |
mouse: mousie |
hippo: hippopotamus |
rhino: rhinoceros |
ladybug: ladybird |
parrot: polly |
butterfly: lepidopteran |
panda: giant panda, panda bear | 大熊猫
puppy: pup |
kitten: baby cat |
glasses: spectacles, eyeglasses |
sunglasses: shades | 太阳镜, 太阳眼镜
shoe: sneaker, trainer | 鞋
trousers: pants |
handbag: purse, hand bag | 手袋, 包
backpack: rucksack, knapsack | 书包
suitcase: luggage, piece of luggage | 箱子
umbrella: brolly, parasol | 伞
flashlight: torch |
mailbox: postbox, letterbox |
clock: wall clock | 时钟, 钟
watch: wristwatch, wrist watch | 表
camera: photo camera | 相机
bathtub: bath, tub |
toilet: loo | 坐便器
teddy bear: teddy, stuffed bear | 玩具熊
tennis racket: racket, racquet | 网球拍子
potted plant: house plant, pot plant |
clothes: clothing, garments | 衣物
phone: handphone | 电话
saxophone: sax | 萨克斯
flame: fire | 火
castle: fortress |
house: home | 屋子
speaker: loudspeaker |
table: dining table, tabletop | 餐桌
vehicle: means of transport | 车辆
animal: creature, beast | 小动物
food: something to eat | 吃的, 食品
drink: beverage, something to drink | 喝的
flower: blossom, bloom | 花朵, 鲜花
building: construction | 建筑, 大楼
"""

# ImageNet class number: the key people would use (of the table above, of a concept, or a new plain name).
IMAGENET = """
7 rooster, 8 chicken, 21 kite bird, 24 owl, 27 newt, 49 crocodile, 50 alligator, 97 duck, 101 elephant, 134 crane,
281 tabby cat, 282 tiger cat, 296 polar bear, 341 pig, 339 horse, 344 hippo, 345 ox, 346 buffalo, 347 bison,
  348 ram, 351 antelope,
352 impala, 355 llama, 364 sloth, 383 lemur, 384 lemur, 387 red panda, 388 panda, 393 clownfish, 397 blowfish,
  326 blue butterfly,
321 admiral butterfly, 322 ringlet butterfly, 323 monarch butterfly, 33 sea turtle, 330 rabbit, 332 Angora rabbit,
  335 squirrel,
404 airplane, 412 trash can, 417 hot-air balloon, 419 plaster, 428 wheelbarrow, 436 station wagon, 437 lighthouse,
  444 tandem bicycle,
458 brass plate, 463 bucket, 466 train, 468 taxi, 480 cash machine, 487 phone, 491 chainsaw, 499 cleaver,
  508 keyboard, 510 container ship,
517 crane machine, 518 helmet, 526 desk, 527 desktop computer, 528 telephone, 532 table, 542 drum stick, 545 fan,
  547 locomotive,
553 filing cabinet, 555 fire engine, 563 pen, 564 four-poster bed, 571 gas pump, 579 piano, 589 hair dryer,
  595 harvester, 603 horse cart,
608 jeans, 609 jeep, 612 rickshaw, 617 lab coat, 618 ladle, 626 lighter, 628 ocean liner, 630 loafer, 632 speaker,
  633 magnifying glass,
635 compass, 638 swimsuit, 639 swimsuit, 653 milk can, 664 computer monitor, 665 moped, 670 scooter,
  671 mountain bike, 672 tent,
673 computer mouse, 676 muzzle, 680 baby's dummy, 681 laptop, 620 laptop, 697 pajamas, 703 bench,
  705 railway carriage,
707 pay phone, 714 guitar pick, 717 pickup truck, 718 pier, 721 pillow, 723 pinwheel, 724 pirate ship, 725 jug,
  726 wood plane, 730 plough,
732 instant camera, 736 pool table, 737 soda bottle, 738 flowerpot, 746 hockey puck, 748 handbag, 751 racing car,
  752 tennis racket,
758 fishing reel, 759 camera, 760 refrigerator, 761 remote control, 767 eraser, 769 ruler, 770 shoe, 776 saxophone,
  780 sailboat,
795 ski, 800 slot machine, 805 football, 820 locomotive, 822 steel drum, 829 tram, 831 couch, 834 suit,
  836 sunglasses, 837 sunglasses,
840 cotton swab, 846 lamp, 850 teddy bear, 851 television, 854 theater curtain, 858 tile roof, 859 toaster,
  864 tow truck, 867 truck,
870 tricycle, 876 tub, 879 umbrella, 881 piano, 882 vacuum cleaner, 895 fighter plane, 896 washbasin,
  897 washing machine, 908 airplane wing,
913 shipwreck, 914 sailboat, 916 website, 919 street sign, 931 bagel, 933 cheeseburger, 935 mashed potatoes,
  936 cabbage, 948 green apple,
950 orange, 967 espresso, 968 cup, 970 mountain, 975 lake, 977 sandbar, 978 beach, 981 baseball player, 982 groom,
  983 scuba diver,
986 lady's slipper, 987 corn, 989 rose hip, 990 horse chestnut, 998 corn, 999 toilet paper, 207 golden retriever,
  208 Labrador,
195 Boston terrier, 263 corgi, 264 corgi, 248 husky, 250 husky, 268 hairless dog, 255 Leonberger, 260 chow chow,
  262 Brussels griffon,
161 basset hound, 192 cairn terrier, 204 Lhasa apso, 191 Airedale terrier, 216 clumber spaniel,
  217 springer spaniel, 240 Appenzeller dog,
241 Entlebucher dog, 242 boxer dog, 249 malamute, 227 kelpie dog, 47 chameleon, 40 chameleon, 39 iguana,
  76 tarantula, 386 elephant, 385 elephant,
354 camel, 366 gorilla, 367 chimpanzee, 294 brown bear, 295 black bear, 277 fox, 280 gray fox, 279 Arctic fox,
  269 wolf, 301 ladybug,
308 fly, 430 basketball, 424 barber's shop, 454 bookshop, 467 butcher's shop, 509 candy store, 521 slow cooker,
  557 flagpole, 581 car grille, 592 hard disk,
598 home cinema, 607 jack-o'-lantern, 657 missile, 711 perfume, 741 prayer rug, 754 radio, 757 camper van,
  781 scoreboard, 802 snowmobile,
827 stove, 848 tape player, 849 teapot, 857 throne, 862 torch, 880 unicycle, 885 velvet, 904 window screen,
  923 plate, 924 guacamole,
930 baguette, 937 broccoli, 947 mushroom, 963 pizza, 966 red wine, 971 soap bubble, 996 hen-of-the-woods,
  84 peacock, 99 goose, 130 flamingo
"""

# Names that are written like another key but mean something else: key -> (spoken, Chinese or "")
SPOKEN = {
    "kite bird": "kite", "crane machine": "crane", "instrument": "musical instrument", "wood plane": "plane",
    "palm": "palm tree", "pine": "pine tree", "bulb": "light bulb", "hotdog": "hot dog", "bow": "bow and arrow",
    "football": "soccer ball", "computer mouse": "computer mouse", "drum stick": "drumstick", "flame": "fire",
    "plaster": "band-aid", "shell": "sea shell", "wine": "glass of wine", "milk": "glass of milk",
    "coffee": "cup of coffee", "tea": "cup of tea", "water": "glass of water", "juice": "glass of juice",
    "soap": "bar of soap", "bread": "loaf of bread", "corn": "ear of corn", "clothes": "piece of clothing",
    "furniture": "piece of furniture", "jeans": "pair of jeans", "glasses": "pair of glasses",
    "sunglasses": "pair of sunglasses", "scissors": "pair of scissors", "trousers": "pair of trousers",
    "pajamas": "pair of pajamas", "binoculars": "pair of binoculars", "ski": "ski",
}  # fmt: skip
SPOKEN_CHINESE = {"kite bird": "鸢", "crane machine": "起重机", "plaster": "创可贴", "lemur": "狐猴", "newt": "蝾螈"}

# Things that one cannot be certain to be absent while another of the group is there.
CONFUSABLE = """
cat, lion, tiger, leopard, cheetah, cougar, lynx, jaguar, snow leopard, kitten
dog, wolf, fox, coyote, dingo, dhole, African hunting dog, hyena, puppy, white wolf, red wolf, kit fox, Arctic fox,
  gray fox
car, truck, bus, van, minivan, jeep, taxi, ambulance, pickup truck, sports car, convertible, limousine, racing car,
  station wagon, police car,
  fire engine, camper van, minibus, Model T, police van, moving van, tow truck, garbage truck, trolleybus,
  school bus, tractor, car mirror, car wheel, car grille, wheel
boat, ship, sailboat, canoe, speedboat, lifeboat, gondola, catamaran, trimaran, ocean liner, container ship,
  pirate ship, shipwreck, submarine,
  fireboat, aircraft carrier, paddle
cup, mug, coffee mug, coffee, espresso, wine glass, goblet, wine, beer, beer glass, milk, tea, water, juice, drink,
  glass, cocktail, red wine, measuring cup, coffeepot, eggnog
laptop, computer, keyboard, desktop computer, computer monitor, screen, television, computer mouse,
  hand-held computer, typewriter keyboard, space bar, website
phone, telephone, pay phone, iPod, hand-held computer
horse, donkey, zebra, horse cart
rabbit, hare, Angora rabbit
sheep, ram, goat, bighorn, ibex
cow, ox, buffalo, bison
duck, goose, swan, black swan, red-breasted merganser
chicken, rooster, chick, turkey
dove, pigeon
turtle, tortoise, terrapin, sea turtle, mud turtle, box turtle, leatherback turtle
bicycle, motorcycle, moped, scooter, mountain bike, tandem bicycle, tricycle
couch, bed, armchair, four-poster bed, pillow, blanket
bag, handbag, backpack, suitcase, briefcase, mailbag, plastic bag, basket, box, shopping basket, chest, carton, crate
hat, cap, cowboy hat, helmet, crown, sombrero, bonnet, bearskin, football helmet, shower cap, bathing cap
shoe, boot, sandal, loafer, clog, cowboy boot
clock, watch, analog clock, digital clock, wall clock, digital watch, stopwatch
plant, tree, potted plant, flower, leaf, palm, pine, flowerpot, vase, cactus, pot, broccoli
bowl, plate, soup bowl, mixing bowl, tray, pot
knife, sword, cleaver, letter opener, fork, spoon
table, desk, pool table
chair, stool, armchair, throne, folding chair, rocking chair, bench, barber chair
stove, oven, microwave, frying pan, pot
train, locomotive, tram, railway carriage, freight car
airplane, fighter plane, airplane wing, airship, helicopter, space shuttle, rocket, missile
orange, tangerine, lemon, lime
apple, green apple, pomegranate, peach
bread, bagel, baguette, pretzel, sandwich, hamburger, cheeseburger, hotdog, croissant
church, castle, palace, temple, tower, house, monastery, mosque, building, skyscraper, hut, store, barn, lighthouse,
  dome, stupa, bell cote, hospital, school, factory
monkey, ape, gorilla, chimpanzee, orangutan, gibbon, siamang, baboon, macaque
mouse, rat, hamster, guinea pig
lizard, crocodile, alligator, dinosaur, iguana, chameleon
person, doll, statue, baseball player, groom, scuba diver
guitar, electric guitar, acoustic guitar, violin, cello, banjo
saxophone, trumpet, trombone, cornet, French horn, flute, oboe, bassoon
sign, street sign, stop sign, traffic light
lamp, bulb, candle, spotlight, lampshade
painting, mirror, window
ball, football, basketball, baseball, volleyball, tennis ball, golf ball, rugby ball, soap bubble, croquet ball,
  balloon, hot-air balloon
cake, cupcake, pie, ice cream, trifle
shirt, coat, jacket, sweater, suit, dress, kimono, uniform, clothes, sweatshirt, cardigan, trench coat, lab coat,
  jersey, gown
glasses, sunglasses
beach, sandbar, lake, water, promontory
mountain, valley, cliff, volcano
crab, lobster, shrimp, crayfish, hermit crab
bottle, water bottle, wine bottle, beer bottle, soda bottle, pill bottle, wine, beer
toilet, toilet seat
dolphin, shark, whale, killer whale, seal, sea lion
crow, raven
pen, pencil, ballpoint, crayon, paintbrush
gun, rifle, assault rifle, revolver
bathtub, tub, sink, washbasin
"""
