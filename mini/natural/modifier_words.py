"""Hold the words by which questions are widened: attributes, verbs, places, parts and tails, by sort of thing."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """Hold the words for one sort of thing in one language.

    Args:
        attributes: What may stand before the noun without changing any answer.
        verbs: What such things do or have done to them ("parked"; Chinese takes 着).
        places: Where they are found.
        parts: Parts that have the colour of the whole, singular.
        vague: Words for any such thing ("creature"), the most general last.
    """

    attributes: str
    verbs: str
    places: str
    parts: str
    vague: str


ANYWHERE = {
    "en": "over there|in the foreground|in the background|near the camera|outside|further back|close by|in front|"
    "in this scene|off to the side|in the corner|in front of the wall|next to the window|by the door|against the wall|"
    "between the other things|among all that|around there|in the shade|in the sunlight|somewhere in here|"
    "near the edge|in front of the house|behind the fence|in the distance|in plain view",
    "zh": "前面|远处|屋子里|角落里|近处|后面|这儿|外面|边上|墙边|窗户旁边|门口|镜头前|阴影里|阳光下|房子前面|栅栏后面|"
    "背景里|前景里|旁边|那边|这一带|不远处",
}
# Words that say where in the picture something is, which a question about its place must not.
IN_PICTURE = frozenset(
    "in the foreground|in the background|off to the side|in the corner|near the edge|in front|further back|"
    "in the distance|角落里|边上|背景里|前景里|旁边|那边|前面|后面|远处|近处|天上|空中|天空中|in the sky|up in the air|"
    "in the air|地上|on the ground|high up".split("|")
)
BESIDE = {
    "en": "next to|beside|near|behind|in front of|close to|not far from|by|around|alongside",
    "zh": "旁边|边上|后面|前面|附近|不远处",
}
RELATIVES = {
    "en": "that you can see|that I photographed|that is shown|we are looking at|you see there|in my @|in this shot|"
    "that appears here|I am pointing at|which is visible here|in front of me|that I took a @ of|in question|"
    "somebody photographed",
    "zh": "你看到的|我拍的|@里的|镜头里的|眼前的|我拍到的|画面里的|我们看到的|面前的",
}
LEADS = {
    "en": "In your opinion, |Judging by the @, |By the way, |I wonder, |Hmm, |Looking at the @, |One more thing: |"
    "From what you can see, |As far as you can tell, |For my album: |So, |Now, |Look closely: |Just asking, |"
    "Help me out: |My son wants to know: |Be honest, |Now tell me, |Well, |Let me see, |If you look closely, |"
    "In my @, |On this @, ",
    "zh": "依你看，|从@上看，|顺便问一下，|我想知道，|帮我看看，|仔细看看，|对了，|那你说，|看一下，|想问问，|孩子问，|"
    "就@来看，|老实说，|你说说，|嗯，|再问一句，|你帮忙看看，|请看@，|麻烦看看，",
}
TAILS = {
    "en": ", do you think?|, in your opinion?|, by the way?|, would you say?|, if I may ask?|, judging by the @?|"
    ", as far as you can tell?|, please?|, can you tell?|, any idea?|, from what you see?|, I wonder?|, my friend?|"
    ", if you look closely?|, can you help me?",
    "zh": "？我看不清。|？帮我看看。|，你觉得呢？|，能看出来吗？|，你知道吗？|？我想知道。|，麻烦看一下？|？看仔细点。",
}

ENGLISH: dict[str, Words] = {
    "bird": Words(
        "little|big|lovely|young|pretty|wild|curious|small|beautiful|strange",
        "perched|sitting|flying|standing|resting|landing|hiding|singing|waiting|swimming",
        "on the branch|on the wire|in the sky|on the roof|in the tree|on the fence|on the water|in the grass|"
        "in the nest|on the railing|on the post|among the leaves|on the windowsill|above the trees|at the feeder|"
        "on the rock|up in the air|on the lawn|by the pond",
        "feathers|body|plumage|wings|breast",
        "bird|animal|creature",
    ),
    "fish": Words(
        "little|big|lovely|strange|shiny|small|beautiful|slippery",
        "swimming|floating|hiding|lying|moving about",
        "in the water|in the tank|in the aquarium|in the pond|under the surface|among the stones|in the sea|in the net",
        "skin|body|tail|fin",
        "animal|creature",
    ),
    "insect": Words(
        "little|big|tiny|strange|pretty|small|scary|curious",
        "sitting|crawling|resting|flying|hiding|climbing",
        "on the leaf|on the flower|on the wall|on the stem|in the grass|on the bark|on my hand|on the petal|"
        "in the web|under the leaf|on the window|among the leaves",
        "body|back|wing",
        "insect|animal|creature",
    ),
    "reptile": Words(
        "little|big|strange|scary|old|small|wild|slimy",
        "lying|crawling|resting|hiding|sitting|sunbathing",
        "on the rock|in the sand|on the branch|in the grass|on the log|in the terrarium|in the water|on the path|"
        "under the leaves|on the wall",
        "skin|body|back|head",
        "animal|creature",
    ),
    "animal": Words(
        "little|big|old|young|cute|lovely|sweet|wild|tired|friendly|funny|curious|strange|beautiful|fluffy",
        "standing|lying|sitting|running|sniffing around|resting|walking|waiting|grazing|looking at us|hiding|"
        "sleeping|playing|drinking|watching us",
        "in the grass|on the lawn|on the carpet|in the meadow|in the snow|on the sofa|by the river|near the fence|"
        "in the garden|on the floor|in the field|on the rock|under the tree|on the beach|in the yard|on the bed|"
        "in the stable|on the path|in front of the barn|among the bushes|at the waterhole|behind the gate|"
        "by the fire",
        "fur|coat|body|back|head|hair",
        "animal|creature",
    ),
    "person": Words(
        "young|tall|nice|friendly|busy|happy|cheerful|funny",
        "sitting|standing|walking|posing|waiting|leaning|smiling|working|resting|looking at us",
        "on the bench|in the street|at the table|in the room|on the stage|in the park|by the window|on the stairs|"
        "in front of the house|on the beach|in the doorway|at the counter|in the crowd|on the pavement|"
        "on the sofa|at the bus stop|behind the counter|in the water|in the field|at the party",
        "shirt|outfit|clothes|jacket|top|clothing",
        "person|human being",
    ),
    "boat": Words(
        "little|big|old|new|wooden|nice|lonely|fast",
        "floating|sailing|anchored|moored|waiting|drifting|lying|docked",
        "on the water|in the harbour|on the lake|at the pier|on the river|at sea|on the shore|by the jetty|"
        "under the bridge|on the waves|near the coast",
        "hull|paint|side|deck|outside",
        "vehicle|boat",
    ),
    "aircraft": Words(
        "little|big|old|new|huge|shiny|fast|loud",
        "flying|landing|parked|taking off|standing|waiting",
        "in the sky|on the runway|at the airport|above the clouds|above the houses|up in the air|in the hangar|"
        "on the field",
        "body|paint|tail|outside",
        "vehicle|aircraft",
    ),
    "vehicle": Words(
        "little|big|old|new|shiny|fast|nice|dirty|fancy|rusty|clean|strange|parked|broken",
        "parked|standing|driving|waiting|stopping|passing by|moving|turning",
        "on the road|in the street|in the garage|in the car park|in front of the house|on the bridge|"
        "at the crossing|by the roadside|in the yard|in the driveway|at the traffic lights|on the gravel|"
        "under the trees|in the mud|at the kerb|behind the fence|in the snow|on the motorway|in front of the shop",
        "paint|body|door|outside|side|front|frame",
        "vehicle",
    ),
    "drink": Words(
        "cold|hot|tasty|fresh|nice|delicious|little|large",
        "standing|served|waiting|poured",
        "on the table|on the tray|in the cup|in the glass|on the bar|next to the plate|on the counter|"
        "on the coaster|in front of me|by the window",
        "liquid|surface|content",
        "drink",
    ),
    "food": Words(
        "tasty|fresh|big|little|delicious|nice|ripe|juicy|round|sweet|small|good-looking|healthy|home-made",
        "lying|served|arranged|waiting|placed|prepared|piled up|cut up|laid out",
        "on the plate|on the table|on the board|in the bowl|in the basket|on the tray|in the kitchen|"
        "on the counter|in my hand|at the market|on the shelf|in the box|in the pan|next to the glass|"
        "on the napkin|in the fridge|on the cloth|beside the fork|in the dish|on the grill",
        "surface|outside|skin|top|inside",
        "food|dish|snack",
    ),
    "fruit": Words(
        "ripe|fresh|juicy|round|big|little|sweet|shiny|tasty|small|healthy|nice",
        "lying|arranged|hanging|growing|placed|piled up|cut up|laid out|waiting",
        "on the plate|on the table|in the bowl|in the basket|on the tree|on the branch|on the board|at the market|"
        "in the box|on the counter|in my hand|in the garden|in the bag|next to the knife|on the cloth",
        "skin|peel|surface|outside",
        "food|fruit",
    ),
    "plant": Words(
        "pretty|little|big|lovely|fresh|wild|tall|beautiful|young|nice|small|old",
        "growing|blooming|standing|planted|flowering|climbing up|waiting",
        "in the garden|in the pot|in the meadow|in the vase|on the balcony|on the windowsill|by the path|"
        "in the field|on the hill|at the roadside|in front of the house|among the grass|by the wall|in the forest|"
        "on the table|in the greenhouse|between the stones",
        "top|blossom|petals|leaves|foliage",
        "plant",
    ),
    "furniture": Words(
        "old|new|big|little|comfortable|nice|wooden|empty|lovely|modern|cosy|antique",
        "standing|placed|set up|pushed back|waiting",
        "in the room|by the window|in the corner of the room|against the wall|on the carpet|in the living room|"
        "on the terrace|in the kitchen|in the hall|in front of the fireplace|under the lamp|on the porch|"
        "in the office|in the park",
        "surface|seat|fabric|cover|top|frame|wood",
        "piece of furniture|furniture|object",
    ),
    "building": Words(
        "old|new|big|tall|little|beautiful|famous|empty|modern|strange|huge|nice",
        "standing|built|rising|towering",
        "on the hill|by the river|in the city|in the village|at the end of the street|among the trees|"
        "on the square|by the road|in the valley|behind the trees|on the coast|across the street|under the clouds",
        "wall|facade|front|outside|roof|side",
        "building|structure",
    ),
    "clothes": Words(
        "new|old|nice|pretty|warm|fashionable|big|little|lovely|elegant|clean|dirty|fancy",
        "lying|hanging|worn|shown|folded|displayed|spread out",
        "on the bed|on the hanger|on the floor|on the chair|in the wardrobe|on the hook|in the shop|on the line|"
        "on the dummy|in the drawer|on the shelf|over the chair|in the suitcase|on the table",
        "fabric|material|cloth|surface|outside",
        "piece of clothing|thing|object",
    ),
    "scenery": Words(
        "beautiful|big|huge|lovely|famous|wild|lonely|quiet|wonderful|impressive",
        "",
        "in the distance|in the background|under the clouds|behind the trees|beyond the fields|near the village|"
        "far away|by the road|along the coast",
        "surface|side|front",
        "thing",
    ),
    "fixture": Words(
        "old|new|big|little|strange|nice|broken|rusty|tall|modern",
        "standing|placed|built|mounted|set up",
        "on the pavement|by the road|at the corner|in the street|in front of the house|in the square|on the wall|"
        "next to the entrance|by the door|in the park|outside the shop|at the crossing|behind the fence",
        "surface|front|paint|outside|side",
        "thing|object",
    ),
    "thing": Words(
        "little|big|old|new|nice|round|shiny|strange|lovely|useful|small|dusty|clean|broken|pretty|simple|modern",
        "lying|standing|placed|leaning|shown|displayed|set down|waiting|kept|resting",
        "on the table|on the shelf|on the desk|on the floor|in the drawer|on the board|next to the cup|"
        "in the kitchen|in the box|on the wall|on the counter|in the hall|on the bench|in my hand|"
        "on the windowsill|in the workshop|in the cupboard|beside the book|on the carpet|in the garage|"
        "in the sink|under the lamp|on the bed|in the office|on the cloth|by the sofa|under the table|"
        "at the market|in the shop window",
        "surface|outside|side|body|front|top|main part|material|outer part|shell",
        "thing|object|item",
    ),
}
CHINESE: dict[str, Words] = {
    "bird": Words(
        "可爱的|漂亮的|小小的|好看的|奇怪的|有趣的",
        "站|停|飞|歇|蹲|叫",
        "树枝上|电线上|天上|屋顶上|树上|草地上|水面上|栏杆上|窗台上|池塘边|空中|石头上|鸟窝里",
        "羽毛|身体|翅膀|身上",
        "鸟|动物|小家伙",
    ),
    "fish": Words(
        "漂亮的|小小的|奇怪的|好看的",
        "游|躲|漂",
        "水里|鱼缸里|池塘里|海里|水草里|河里",
        "身体|鱼鳞|尾巴|身上",
        "动物|小家伙",
    ),
    "insect": Words(
        "小小的|漂亮的|奇怪的|有趣的",
        "趴|停|爬|歇|躲",
        "叶子上|花上|墙上|草丛里|树干上|手上|窗户上|花瓣上",
        "身体|背|翅膀|身上",
        "虫子|动物|小家伙",
    ),
    "reptile": Words(
        "奇怪的|可怕的|小小的|有趣的",
        "趴|爬|躲|歇",
        "石头上|沙地里|树枝上|草丛里|木头上|水边|路上",
        "皮肤|身体|背|身上",
        "动物|家伙",
    ),
    "animal": Words(
        "可爱的|小小的|好看的|有趣的|老|漂亮的|调皮的|乖乖的",
        "站|趴|躺|坐|蹲|歇|等|躲|睡",
        "草地上|地毯上|雪地里|沙发上|河边|院子里|地板上|田里|石头上|树下|沙滩上|床上|路上|栅栏旁边|花园里|门口|山坡上",
        "毛|身体|皮毛|背|身上",
        "动物|小家伙",
    ),
    "person": Words(
        "年轻的|高高的|友好的|陌生的|好看的",
        "站|坐|等|靠|走",
        "长椅上|街上|桌子旁边|房间里|舞台上|公园里|窗户旁边|楼梯上|海滩上|门口|人群里|沙发上|路边|车站",
        "衣服|上衣|衬衫|外套",
        "人",
    ),
    "boat": Words(
        "漂亮的|旧旧的|大大的|小小的|崭新的",
        "停|漂|靠",
        "水上|港口里|湖上|河里|海上|岸边|桥下|码头边",
        "船身|油漆|外面",
        "交通工具",
    ),
    "aircraft": Words(
        "大大的|漂亮的|崭新的|旧旧的",
        "停|飞",
        "天上|跑道上|机场里|空中|云层上面|停机坪上",
        "机身|外壳|尾巴",
        "交通工具",
    ),
    "vehicle": Words(
        "漂亮的|旧旧的|崭新的|大大的|小小的|脏脏的|好看的",
        "停|摆|等",
        "路上|街上|车库里|停车场里|房子前面|桥上|路口|路边|院子里|树下|雪地里|商店门口|红绿灯前",
        "车身|油漆|车门|外面|车头",
        "交通工具",
    ),
    "drink": Words(
        "好喝的|凉凉的|热热的|新鲜的",
        "放|摆",
        "桌子上|托盘上|杯子里|盘子旁边|吧台上|我面前",
        "表面|液体",
        "饮料|东西",
    ),
    "food": Words(
        "好吃的|新鲜的|大大的|小小的|诱人的|圆圆的",
        "放|摆",
        "盘子里|桌子上|案板上|碗里|篮子里|托盘上|厨房里|手里|盒子里|锅里|架子上|叉子旁边|餐巾上",
        "表面|外面|外皮|上面",
        "食物|吃的东西|东西",
    ),
    "fruit": Words(
        "新鲜的|熟透的|好吃的|大大的|圆圆的|小小的",
        "放|摆|挂|长|堆",
        "盘子里|桌子上|碗里|篮子里|树上|案板上|盒子里|手里|袋子里|市场里|枝头",
        "皮|外皮|表面|外面",
        "食物|吃的东西|东西",
    ),
    "plant": Words(
        "漂亮的|好看的|小小的|美丽的|高高的|新鲜的",
        "长|开|种|摆",
        "花园里|花盆里|草地上|花瓶里|阳台上|窗台上|路边|田野里|山坡上|房子前面|墙边|森林里|院子里",
        "叶子|花瓣|上面|枝叶",
        "植物|东西",
    ),
    "furniture": Words(
        "旧旧的|崭新的|大大的|舒服的|好看的|漂亮的",
        "摆|放",
        "房间里|窗户旁边|墙边|地毯上|客厅里|露台上|厨房里|大厅里|壁炉前|办公室里|公园里",
        "表面|面料|木头|外面",
        "家具|东西",
    ),
    "building": Words(
        "高高的|古老的|漂亮的|大大的|有名的|崭新的",
        "立|盖|建",
        "山上|河边|城里|村子里|街道尽头|树林里|广场上|路边|山谷里|海边|马路对面",
        "墙|外墙|正面|外面|屋顶",
        "建筑|建筑物",
    ),
    "clothes": Words(
        "漂亮的|崭新的|旧旧的|好看的|时髦的|暖和的",
        "放|挂|摆|铺|搭",
        "床上|衣架上|地板上|椅子上|衣柜里|钩子上|商店里|晾衣绳上|抽屉里|架子上|箱子里",
        "布料|面料|外面|表面",
        "东西",
    ),
    "scenery": Words(
        "美丽的|大大的|壮观的|有名的|漂亮的",
        "",
        "远处|云下面|树林后面|村子旁边|路边|海岸边",
        "表面|正面",
        "东西",
    ),
    "fixture": Words(
        "旧旧的|崭新的|大大的|奇怪的|高高的",
        "立|摆|竖",
        "人行道上|路边|拐角处|街上|房子前面|广场上|门口|公园里|路口|商店外面",
        "表面|正面|油漆|外面",
        "东西|物体",
    ),
    "thing": Words(
        "小小的|大大的|旧旧的|崭新的|圆圆的|好看的|奇怪的|漂亮的|有用的|亮亮的|普通的",
        "放|摆|搁|立|靠",
        "桌子上|架子上|书桌上|地板上|抽屉里|案板上|杯子旁边|厨房里|盒子里|柜台上|长椅上|手里|窗台上|柜子里|地毯上|"
        "车库里|台灯下面|床上|办公室里|沙发旁边|桌子下面|橱窗里|角落里",
        "表面|外面|外壳|正面|上面|主体",
        "东西|物体|物品",
    ),
}
WORDS = {"en": ENGLISH, "zh": CHINESE}

# Names that stand in the open and cannot lie on a table.
SCENERY = frozenset(
    "volcano,mountain,sun,moon,star,cloud,rainbow,beach,lake,valley,cliff,waterfall,coral reef,geyser,promontory,"
    "sandbar,rapeseed,hay,dam,breakwater,stage,maze,snowflake".split(",")
)
FIXTURES = frozenset(
    "fountain,traffic light,fire hydrant,stop sign,street sign,parking meter,flag,fence,bridge,lighthouse,windmill,"
    "statue,altar,balance beam,bannister,bell cote,birdhouse,carousel,cash machine,crane machine,dock,dome,"
    "drilling platform,flagpole,gas pump,guillotine,harvester,horizontal bar,manhole cover,maypole,parallel bars,"
    "pay phone,pier,pole,radio telescope,rain barrel,scoreboard,slot machine,solar dish,stone wall,swing,thatch,"
    "thresher,tile roof,totem pole,turnstile,vault,vending machine,water tower,airplane wing,mailbox,sign,snowman,"
    "door,window,toilet,bathtub,washing machine,refrigerator,stove,oven,dishwasher,radiator,washbasin,sink,"
    "chainlink fence,picket fence,worm fence,sliding door,steel arch bridge,suspension bridge,viaduct,pedestal,obelisk,"
    "megalith,patio,triumphal arch,trash can,nest,spider web,wheel,car wheel,car mirror,car grille,hot-air balloon,"
    "crutch,jigsaw puzzle,website,home cinema,curtain,theater curtain,shower curtain,window screen,window shade".split(
        ","
    )
)
AIRCRAFT = frozenset({"airplane", "helicopter", "rocket", "airship", "space shuttle", "missile", "hot-air balloon"})
REPTILES = frozenset({"snake", "lizard", "turtle", "frog", "crab", "lobster", "tortoise"})
BUGS = frozenset({"insect", "butterfly", "spider", "beetle", "scorpion", "centipede", "snail", "slug"})
SWIMMERS = frozenset({"fish", "shark", "whale", "jellyfish", "starfish", "coral", "dolphin", "dugong"})
