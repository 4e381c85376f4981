"""Which province and city a plate's first two characters stand for.

The table lists letters in use; a prefix that is missing is possible but not known to us, and gives
no city. Several letters may share a city.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Region:
    """Where a plate was issued."""

    province: str
    """Name of the province-level unit without its rank: 山东, 内蒙古."""
    city: str | None
    """Name of the issuing city, league or authority; None where the letter is not known."""


PROVINCE_NAMES: Final[dict[str, str]] = {
    "京": "北京",
    "津": "天津",
    "沪": "上海",
    "渝": "重庆",
    "冀": "河北",
    "豫": "河南",
    "云": "云南",
    "辽": "辽宁",
    "黑": "黑龙江",
    "湘": "湖南",
    "皖": "安徽",
    "鲁": "山东",
    "新": "新疆",
    "苏": "江苏",
    "浙": "浙江",
    "赣": "江西",
    "鄂": "湖北",
    "桂": "广西",
    "甘": "甘肃",
    "晋": "山西",
    "蒙": "内蒙古",
    "陕": "陕西",
    "吉": "吉林",
    "闽": "福建",
    "贵": "贵州",
    "粤": "广东",
    "青": "青海",
    "藏": "西藏",
    "川": "四川",
    "宁": "宁夏",
    "琼": "海南",
}
"""Abbreviation on the plate to the name of the province."""

_CITIES: Final[dict[str, str]] = {
    "京": "A北京 B北京 C北京 D北京 E北京 F北京 G北京 H北京 J北京 K北京 L北京 M北京 N北京 O北京 P北京 Q北京 V北京 Y北京",
    "津": "A天津 B天津 C天津 D天津 E天津 F天津 G天津 H天津 J天津 K天津 L天津 M天津 N天津 P天津 Q天津 R天津",
    "沪": "A上海 B上海 C上海 D上海 E上海 F上海 G上海 H上海 J上海 K上海 L上海 M上海 N上海 R崇明",
    "渝": "A重庆 B重庆 C永川 D重庆 F万州 G涪陵 H黔江",
    "冀": "A石家庄 B唐山 C秦皇岛 D邯郸 E邢台 F保定 G张家口 H承德 J沧州 R廊坊 S沧州 T衡水 X雄安",
    "豫": "A郑州 B开封 C洛阳 D平顶山 E安阳 F鹤壁 G新乡 H焦作 J濮阳 K许昌 L漯河 M三门峡 N商丘 P周口 Q驻马店 R南阳 S信阳 U济源 V郑州",
    "云": "A昆明 C昭通 D曲靖 E楚雄 F玉溪 G红河 H文山 J普洱 K西双版纳 L大理 M保山 N德宏 P丽江 Q怒江 R迪庆 S临沧",
    "辽": "A沈阳 B大连 C鞍山 D抚顺 E本溪 F丹东 G锦州 H营口 J阜新 K辽阳 L盘锦 M铁岭 N朝阳 P葫芦岛 V省直",
    "黑": "A哈尔滨 B齐齐哈尔 C牡丹江 D佳木斯 E大庆 F伊春 G鸡西 H鹤岗 J双鸭山 K七台河 L哈尔滨 M绥化 N黑河 P大兴安岭 R农垦",
    "湘": "A长沙 B株洲 C湘潭 D衡阳 E邵阳 F岳阳 G张家界 H益阳 J常德 K娄底 L郴州 M永州 N怀化 U湘西",
    "皖": "A合肥 B芜湖 C蚌埠 D淮南 E马鞍山 F淮北 G铜陵 H安庆 J黄山 K阜阳 L宿州 M滁州 N六安 P宣城 Q巢湖 R池州 S亳州",
    "鲁": "A济南 B青岛 C淄博 D枣庄 E东营 F烟台 G潍坊 H济宁 J泰安 K威海 L日照 M滨州 N德州 P聊城 Q临沂 R菏泽 S济南 U青岛 V潍坊 Y烟台",
    "新": "A乌鲁木齐 B昌吉 C石河子 D奎屯 E博尔塔拉 F伊犁 G塔城 H阿勒泰 J克拉玛依 K吐鲁番 L哈密 M巴音郭楞 N阿克苏 P克孜勒苏 Q喀什 R和田",
    "苏": "A南京 B无锡 C徐州 D常州 E苏州 F南通 G连云港 H淮安 J盐城 K扬州 L镇江 M泰州 N宿迁 U苏州",
    "浙": "A杭州 B宁波 C温州 D绍兴 E湖州 F嘉兴 G金华 H衢州 J台州 K丽水 L舟山",
    "赣": "A南昌 B赣州 C宜春 D吉安 E上饶 F抚州 G九江 H景德镇 J萍乡 K新余 L鹰潭 M南昌",
    "鄂": "A武汉 B黄石 C十堰 D荆州 E宜昌 F襄阳 G鄂州 H荆门 J黄冈 K孝感 L咸宁 M仙桃 N潜江 P神农架 Q恩施 R天门 S随州 W武汉",
    "桂": "A南宁 B柳州 C桂林 D梧州 E北海 F崇左 G来宾 H桂林 J贺州 K玉林 L百色 M河池 N钦州 P防城港 R贵港",
    "甘": "A兰州 B嘉峪关 C金昌 D白银 E天水 F酒泉 G张掖 H武威 J定西 K陇南 L平凉 M庆阳 N临夏 P甘南",
    "晋": "A太原 B大同 C阳泉 D长治 E晋城 F朔州 H忻州 J吕梁 K晋中 L临汾 M运城",
    "蒙": "A呼和浩特 B包头 C乌海 D赤峰 E呼伦贝尔 F兴安盟 G通辽 H锡林郭勒 J乌兰察布 K鄂尔多斯 L巴彦淖尔 M阿拉善",
    "陕": "A西安 B铜川 C宝鸡 D咸阳 E渭南 F汉中 G安康 H商洛 J延安 K榆林 U西安 V杨凌",
    "吉": "A长春 B吉林 C四平 D辽源 E通化 F白山 G白城 H延边 J松原 K长白山",
    "闽": "A福州 B莆田 C泉州 D厦门 E漳州 F龙岩 G三明 H南平 J宁德 K省直",
    "贵": "A贵阳 B六盘水 C遵义 D铜仁 E黔西南 F毕节 G安顺 H黔东南 J黔南",
    "粤": "A广州 B深圳 C珠海 D汕头 E佛山 F韶关 G湛江 H肇庆 J江门 K茂名 L惠州 M梅州 N汕尾 P河源 Q阳江 R清远 S东莞 T中山 U潮州 V揭阳 W云浮 X顺德 Y南海 Z港澳",
    "青": "A西宁 B海东 C海北 D黄南 E海南州 F果洛 G玉树 H海西",
    "藏": "A拉萨 B昌都 C山南 D日喀则 E那曲 F阿里 G林芝 H驻川天全 J驻青格尔木",
    "川": "A成都 B绵阳 C自贡 D攀枝花 E泸州 F德阳 G成都 H广元 J遂宁 K内江 L乐山 M资阳 Q宜宾 R南充 S达州 T雅安 U阿坝 V甘孜 W凉山 X广安 Y巴中 Z眉山",
    "宁": "A银川 B石嘴山 C吴忠 D固原 E中卫",
    "琼": "A海口 B三亚 C琼海 D五指山 E洋浦 F儋州",
}

CITIES: Final[dict[str, str]] = {
    province + entry[0]: entry[1:] for province, row in _CITIES.items() for entry in row.split()
}
"""Two-character prefix to the name of the city."""


def region_of(text: str) -> Region | None:
    """Where the plate was issued, from a normalised text; None if it names no province.

    The plates of the armed police carry their province in third place.
    """
    prefix = text.removeprefix("WJ")
    province = PROVINCE_NAMES.get(prefix[:1])
    if province is None:
        return None
    city = None if text.startswith("WJ") else CITIES.get(prefix[:2])
    return Region(province, city)
