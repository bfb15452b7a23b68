"""Chinese addresses as text: brought into one spelling, taken apart, compared.

Nothing here knows a place. A parse says which part of a text is meant as what; whether there is such a place is for the
gazetteer to say. Where names of divisions are known, the caller passes a look-up, and only what it recognises is taken
for a division.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

LONGEST_TEXT = 200

# level, name as written, names by level of what it lies in -> the name it is known by, None when there is no such division
RegionLookup = Callable[[str, str, Mapping[str, str]], str | None]

LEVELS = ("province", "city", "district", "street", "community")
DIRECTIONS = ("北", "东北", "东", "东南", "南", "西南", "西", "西北")

_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_TENS = {"十": 10, "百": 100, "千": 1000}
_NUMERAL = re.compile(r"[零〇一二两三四五六七八九十百千]+(?=号|栋|幢|座|单元|层|楼|室|米|弄|排|户|#)")
_NAME_FIGURES = re.compile(r"(?<!\d)\d{1,2}(?=大道|大街|路|街|巷|里|条|胡同|村|期|环|社区)")
_ORDINALS = "零一二三四五六七八九"
_PARENTHESES = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|【[^【】]*】")
_SEPARATORS = re.compile(r"[\s,，、;；。:：\"'“”‘’·|()\[\]【】<>《》]+")
_DASHES = re.compile(r"[-‐‑‒–—―−~～]+")

_HAN = r"\u3400-\u9fff"
_DIRECTION = r"东北|东南|西北|西南|东|南|西|北"


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of an address, "" where not given.

    Attributes
    ----------
    text
        The whole in one spelling (see `normalise`).
    road, lane
        Street, and the second street-like part after it: 民主二巷, 1234弄.
    number, number_suffix
        Door number: figures, and what tells its sub-numbers apart (甲, -3, 附2).
    place
        Compound, building or point of interest by name.
    building, unit, floor, room
        Within the place, without their words: 3栋2单元 is "3" and "2".
    named
        Place and building as they were written: 便利店2号 may be a name in whole.
    roads
        The two roads of a crossing; empty otherwise.
    relation
        How the thing lies to the place: ``at``, ``near``, ``opposite``, ``crossing``.
    side, offset_m
        Direction from the place (one of `DIRECTIONS`) and distance that way. Unit: m; None when not stated.
    rest
        What was not understood.
    """

    text: str
    province: str = ""
    city: str = ""
    district: str = ""
    street: str = ""
    community: str = ""
    road: str = ""
    lane: str = ""
    number: str = ""
    number_suffix: str = ""
    place: str = ""
    building: str = ""
    unit: str = ""
    floor: str = ""
    room: str = ""
    named: str = ""
    roads: tuple[str, ...] = field(default=())
    relation: str = "at"
    side: str = ""
    offset_m: float | None = None
    rest: str = ""

    @property
    def has_location(self) -> bool:
        """Return whether anything below the divisions is named."""
        return bool(self.road or self.place or self.named or self.roads)


def normalise(text: str) -> str:
    """Return ``text`` in one spelling: half-width, upper case, no blanks, punctuation or parentheses, numbers in figures.

    Numerals become figures only before a word that counts (号 栋 单元 层 室 米 ...), since 三元里 is a name. At most
    `LONGEST_TEXT` characters are kept.

    Examples
    --------
    >>> normalise("中山 大道（东段）一百二十号 ３栋")
    '中山大道120号3栋'
    """
    plain = unicodedata.normalize("NFKC", text[: 4 * LONGEST_TEXT]).upper()
    plain = "".join(c for c in plain if unicodedata.category(c)[0] != "C" or c in "\n\t")
    while (shorter := _PARENTHESES.sub("", plain)) != plain:
        plain = shorter
    plain = _DASHES.sub("-", _SEPARATORS.sub("", plain))
    plain = _NUMERAL.sub(lambda match: str(chinese_number(match[0])), plain)[:LONGEST_TEXT]
    # what stood between two characters may have kept them from being one
    return plain if unicodedata.is_normalized("NFKC", plain) else normalise(plain)


def chinese_number(text: str) -> int:
    """Return the value of a numeral, counted (一百二十) or spelt digit by digit (二〇一).

    Examples
    --------
    >>> chinese_number("一百二十"), chinese_number("二〇一"), chinese_number("十")
    (120, 201, 10)
    """
    if not any(c in _TENS for c in text):
        return int("".join(str(_DIGITS[c]) for c in text))
    total, digit = 0, 0
    for character in text:
        if character in _TENS:
            total += (digit or 1) * _TENS[character]
            digit = 0
        else:
            digit = _DIGITS[character]
    return total + digit


@lru_cache(maxsize=65_536)
def fold_name(name: str) -> str:
    """Return the spelling under which names are compared: normalised, small figures in names as numerals.

    Examples
    --------
    >>> fold_name("光谷3路"), fold_name("12 街")
    ('光谷三路', '十二街')
    """
    return _NAME_FIGURES.sub(lambda match: _numeral(int(match[0])), normalise(name))


def _numeral(number: int) -> str:
    tens, ones = divmod(number, 10)
    if not tens:
        return _ORDINALS[ones]
    return ("" if tens == 1 else _ORDINALS[tens]) + "十" + (_ORDINALS[ones] if ones else "")


# -- divisions ---------------------------------------------------------------------------------------------------------

_NO_ROAD = r"(?:(?!大道|大街|街道|公路|胡同|[路街巷弄号栋幢镇乡]|社区|小区|居委会|村委会)[" + _HAN + r"])"
_PLAIN = r"(?:(?!大道|公路|胡同|[路巷弄号栋幢]|社区|小区|居委会|村委会)[" + _HAN + r"])"
_REGIONS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("province", re.compile(rf"(?:中国)?({_NO_ROAD}{{2,7}}?(?:特别行政区|自治区|省))")),
    ("city", re.compile(rf"({_NO_ROAD}{{2,10}}?(?:自治州|地区|(?<![超城菜花夜门都])市(?![场民政区口一二三四五六七八九十])))")),
    ("district", re.compile(rf"({_NO_ROAD}{{1,10}}?(?:(?<![小社校园景厂片库街住])区|县(?!城)|旗(?!社区)|(?<![超城菜花夜门都])市(?![场民政口一二三四五六七八九十])))")),
    ("street", re.compile(rf"({_PLAIN}{{1,10}}?(?:街道办事处|街道办|街道(?!口)|镇|乡(?!村)))")),
    ("community", re.compile(
        rf"((?:(?!大道|公路|胡同|[路巷弄号栋幢街]|小区)[{_HAN}A-Z0-9]){{1,15}}?"
        r"(?:社区居民委员会|社区居委会|居民委员会|居委会|社区|村民委员会|村委会|(?<!新)村(?![路街小中站])))"
    )),
)  # fmt: skip
_REGION_TAILS = re.compile(
    r"(?:社区居民委员会|社区居委会|居民委员会|居委会|社区|村民委员会|村委会|街道办事处|街道办|街道|特别行政区|自治区|自治州|地区|省|市|区|县|旗|镇|乡|村)$"
)
_REGION_ENDS = frozenset("省区州市县旗盟道处办镇乡村会")
_LONGEST_REGION = 24
_SHORT_REGIONS = ("province", "city", "district")
_BEGINS_LIKE_ROAD = re.compile(r"(?:大道|大街|公路|[路街巷道里桥站])")


def region_stem(name: str) -> str:
    """Return the name of a division without the word for its kind; the whole where nothing much would be left.

    Examples
    --------
    >>> region_stem("红旗社区居委会"), region_stem("江汉区"), region_stem("东区")
    ('红旗', '江汉', '东区')
    """
    folded = fold_name(name)
    stem = _REGION_TAILS.sub("", folded)
    return stem if len(stem) >= 2 else folded


def _take_regions(
    text: str, lookup: RegionLookup | None, found: dict[str, str] | None = None, first: int = 0
) -> tuple[dict[str, str], str]:
    """Return the divisions a text begins with, by level, and what is left of it."""
    found = dict(found or {})
    for i, (level, pattern) in enumerate(_REGIONS[first:], first):
        whole = _whole_region(text, level, lookup, found) if lookup is not None else ""
        if whole and lookup is not None:
            found[level] = lookup(level, whole, found) or whole
            text = text[len(whole) :]
            continue
        match = pattern.match(text)
        if match is not None:
            known = match[1] if lookup is None else lookup(level, match[1], found)
            if known is not None:
                found[level] = known
                text = text[match.end() :]
                continue
            # a district that is not held is passed over when what follows is known to lie below one
            below = _take_regions(text[match.end() :], lookup, found, i + 1)
            if level in ("district", "street") and len(below[0]) > len(found):
                return below
        short = _short_region(text, level, lookup, found) if lookup is not None and level in _SHORT_REGIONS else ""
        if short and lookup is not None:
            # 示例 may be the city of 示例望澜区, or the beginning of a name: whichever way more is recognised
            with_it = found | {level: lookup(level, short, found) or short}
            taken = _take_regions(text[len(short) :], lookup, with_it, i + 1)
            left_out = _take_regions(text, lookup, found, i + 1)
            return taken if len(taken[1]) < len(left_out[1]) else left_out
    return found, text


def _whole_region(text: str, level: str, lookup: RegionLookup, found: Mapping[str, str]) -> str:
    """Return the longest beginning of ``text`` that is the whole name of a division, however it is made: 三巷社区."""
    for length in range(min(_LONGEST_REGION, len(text)), 2, -1):
        # 吴家山街 is a street office, 吴家山街12号 a door
        ends = text[length - 1] in _REGION_ENDS or (
            level == "street" and text[length - 1] == "街" and not text[length : length + 1].isdigit()
        )
        if ends and lookup(f"{level} whole", text[:length], found):
            return text[:length]
    return ""


def _short_region(text: str, level: str, lookup: RegionLookup, found: Mapping[str, str]) -> str:
    """Return the beginning of ``text`` that is the name of a division without its word, as 武汉 in 武汉江汉区."""
    for length in range(min(7, len(text) - 1), 1, -1):
        short, after = text[:length], text[length:]
        if _REGION_TAILS.search(short) or _BEGINS_LIKE_ROAD.match(after):
            continue
        if lookup(f"{level} short", short, found):
            return short
    return ""


# -- what lies around a place ------------------------------------------------------------------------------------------

_OFFSET = re.compile(
    rf"(?:往|向|以|的)?({_DIRECTION})(?:侧|边|面|头|方向|部|角)?(?:大约|约)?(\d{{1,5}}(?:\.\d+)?)(?:米|M)(?:处|左右|远)*$"
)
_DISTANCE = re.compile(r"(?:大约|约)?(\d{1,5}(?:\.\d+)?)(?:米|M)(?:处|左右|远)*$")
_SIDE = re.compile(rf"(?:的)?({_DIRECTION})(?:侧|边|面|头|角|方向)$")
_OPPOSITE = re.compile(r"(?:的)?(?:斜?对面|对过)$")
_NEAR = re.compile(r"(?:的)?(?:附近|旁边|旁|周边|周围|一带|门口|门前|门外|院内|里面|楼下|内|沿线|(?<![汇界叉会交])处)$")


def _take_surroundings(text: str) -> tuple[str, dict[str, object]]:
    said: dict[str, object] = {}
    while text:
        if "side" not in said and "offset_m" not in said and (match := _OFFSET.search(text)):
            said |= {"side": match[1], "offset_m": float(match[2])}
        elif "offset_m" not in said and (match := _DISTANCE.search(text)):
            said["offset_m"] = float(match[1])
        elif "side" not in said and (match := _SIDE.search(text)):
            said["side"] = match[1]
        elif "relation" not in said and (match := _OPPOSITE.search(text)):
            said["relation"] = "opposite"
        elif match := _NEAR.search(text):
            said.setdefault("relation", "near")
        else:
            break
        if not match.start():
            break
        text = text[: match.start()]
    return text, said


# -- streets and numbers -----------------------------------------------------------------------------------------------

_NAME = rf"(?:(?![号栋幢与和]|小区|社区)[{_HAN}A-Z0-9])"
_ROAD_END = r"(?:大道|大街|公路|胡同|高速|环路|[路街巷](?![道口灯])|[弄里道条](?=[甲乙丙丁附]?\d|$))"
_SECTION = r"(?:[东南西北中]?[一二三四五六七八九十]?段)?"
_ROAD = re.compile(rf"({_NAME}{{1,12}}?{_ROAD_END}{_SECTION})")
_NUMBERED_LANE = re.compile(r"(\d{1,5}弄)")
_NUMBER = re.compile(
    r"(?P<before>[甲乙丙丁附临])?(?P<figures>\d{1,6})(?P<part>[甲乙丙丁A-Z]?(?:[-之]\d{1,4})?)"
    r"(?:(?:号|#)(?![楼线门店口厅机桌库铺馆岗仓房码])(?P<after>附\d{1,3}号?|-\d{1,4}(?!\d*[-\d])|[甲乙丙丁](?!\d))?院?|$)"
)
_CROSSING_END = (
    r"(?:的)?(?:交叉路?口|交汇[处口]|交会[处口]|交界[处口]|交叉处|相交处|交口|十字路口|丁字路口|三岔路口|路口|口)"
)
_CROSSED = rf"{_NAME}{{1,12}}?(?:大道|大街|公路|胡同|高速|环路|[路街巷])"
_JOINED = rf"{_NAME}{{1,12}}?(?:大道|大街|公路|胡同|高速|环路|[路街巷弄里道条])"
_JOINED_CROSSING = re.compile(rf"({_JOINED})[与和跟及同/-]({_JOINED}){_CROSSING_END}?$")
_CROSSING = re.compile(
    rf"({_CROSSED})(?:(?:[与和跟及同/-]({_CROSSED}){_CROSSING_END}?)|(?:({_CROSSED}){_CROSSING_END})|{_CROSSING_END})$"
)

# -- inside a place ----------------------------------------------------------------------------------------------------

_BUILDING = re.compile(
    r"(?P<place>.*?)第?(?:(?P<name>[A-Z]?\d{1,4}[A-Z]?|[A-Z]|[东西南北甲乙丙丁])(?:号楼|栋|幢|座|#楼?)|(?P<plain>\d{1,4})号(?![线门店口厅机桌库铺馆岗仓房码院]))"
)
_DASHED = re.compile(r"(?P<place>.*?\D)(?P<building>\d{1,3})-(?:(?P<unit>\d{1,2})-)?(?P<room>\d{3,5})室?$")
_UNIT = re.compile(r"(\d{1,2}|[A-Z甲乙丙丁东西中])(?:单元|门栋|门洞|梯)")
_FLOOR = re.compile(r"([B-]?\d{1,3})(?:层|楼|F)")
_ROOM = re.compile(r"([A-Z]?\d{1,5}(?:-\d{1,3})?)(?:号房|室|房|户|号)?$")
_ROOM_BEHIND = re.compile(r"(?<![0-9A-Z-])[A-Z]?\d{3,5}(?:-\d{1,3})?(?:室|房|户)$")


def parse_address(text: str, lookup: RegionLookup | None = None) -> Address:
    """Return the parts of a Chinese address; never raises, whatever the text.

    Parameters
    ----------
    text
        As typed: full-width figures, blanks, remarks in parentheses and Chinese numerals are all right.
    lookup
        Knows the divisions; without it every word that ends like one is taken for one. It is also asked for
        ``"city short"`` and the like, meaning names without the word for their kind, and ``"city whole"``, names with it.

    Notes
    -----
    Our own rules, made for how addresses are written in Chinese cities: divisions from large to small, then street, lane,
    door number, then a compound or a point of interest with building, unit, floor and room; then where the thing lies
    from there. Libraries were considered and left out, see docs/decisions/0016.

    Examples
    --------
    >>> a = parse_address("江汉区民族街道中山大道一百二十号３栋2单元501室")
    >>> a.district, a.street, a.road, a.number, a.building, a.unit, a.room
    ('江汉区', '民族街道', '中山大道', '120', '3', '2', '501')
    >>> parse_address("解放大道与航空路交叉口东南角").roads
    ('解放大道', '航空路')
    """
    whole = normalise(text)
    regions, left = _take_regions(whole, lookup)
    left, said = _take_surroundings(left)
    address = replace(Address(whole), **regions, **said)  # type: ignore[arg-type]
    joined = _JOINED_CROSSING.fullmatch(left)
    if joined is not None:
        return replace(address, roads=(joined[1], joined[2]), relation="crossing")
    crossing = _CROSSING.fullmatch(left)
    if crossing is not None:
        return _with_crossing(address, crossing)
    address, left = _take_street(address, left)
    return _take_place(address, left)


def parse_below_divisions(text: str) -> Address:
    """Return the parts of a text that names no division and no surroundings, as addresses of registers do; faster.

    Examples
    --------
    >>> a = parse_below_divisions("听松大道5号")
    >>> a.road, a.number
    ('听松大道', '5')
    """
    whole = normalise(text)
    return _take_place(*_take_street(Address(whole), whole))


def _with_crossing(address: Address, match: re.Match[str]) -> Address:
    first, second = match[1], match[2] or match[3]
    if second:
        return replace(address, roads=(first, second), relation="crossing")
    return replace(address, road=first, relation="crossing")


def _take_street(address: Address, left: str) -> tuple[Address, str]:
    if match := _ROAD.match(left):
        address, left = replace(address, road=match[1]), left[match.end() :]
        second = _NUMBERED_LANE.match(left) or _ROAD.match(left)
        if second:
            address, left = replace(address, lane=second[1]), left[second.end() :]
    if (address.road or address.community) and (match := _NUMBER.match(left)):
        suffix = (match["before"] or "") + match["part"].replace("之", "-") + (match["after"] or "").removesuffix("号")
        address = replace(address, number=match["figures"].lstrip("0") or "0", number_suffix=suffix)
        left = left[match.end() :]
    return address, left


def _take_place(address: Address, left: str) -> Address:
    if match := _DASHED.match(left):
        place, building = match["place"], match["building"]
        return replace(
            address, place=place, building=building, unit=match["unit"] or "", room=match["room"], named=place
        )
    building = ""
    match = _BUILDING.match(left)
    if match:
        place, building, named = match["place"], match["name"] or match["plain"], left[: match.end()]
        left = left[match.end() :]
    else:
        inside = min((m.start() for m in map(_search(left), (_UNIT, _FLOOR, _ROOM_BEHIND)) if m), default=len(left))
        place = named = left[:inside]
        left = left[inside:]
    address = replace(address, place=place, building=building.lstrip("0") or building, named=named)
    return _take_inside(address, left)


def _search(text: str) -> Callable[[re.Pattern[str]], re.Match[str] | None]:
    return lambda pattern: pattern.search(text)


def _take_inside(address: Address, left: str) -> Address:
    for part, pattern in (("unit", _UNIT), ("floor", _FLOOR), ("room", _ROOM)):
        if match := pattern.match(left):
            address = replace(address, **{part: match[1]})  # type: ignore[arg-type]
            left = left[match.end() :]
    return replace(address, rest=left)


def compose_address(address: Address) -> str:
    """Return the parts as one text in the usual order; parsing it gives the parts back where they are words of their kind."""
    text = address.province + address.city + address.district + address.street + address.community
    if address.roads:
        text += "与".join(address.roads) + "交叉口"
    else:
        text += address.road + address.lane
        text += f"{address.number}{address.number_suffix}号" if address.number else ""
        text += address.place + (f"{address.building}栋" if address.building else "")
        text += f"{address.unit}单元" if address.unit else ""
        text += f"{address.floor}层" if address.floor else ""
        text += f"{address.room}室" if address.room else ""
    text += f"{address.side}侧" if address.side else ""
    text += f"{address.offset_m:g}米" if address.offset_m is not None else ""
    return text + {"opposite": "对面", "near": "附近"}.get(address.relation, "")


# -- how alike two names are -------------------------------------------------------------------------------------------

_NAME_TAIL = re.compile(r"(?:大道|大街|公路|胡同|[路街巷弄里道条]|小区|社区|花园|公寓|家园|新村|苑|大厦|广场|中心)$")
_GRAM_CHARACTERS = re.compile(rf"[{_HAN}A-Z0-9]+")


def name_grams(name: str) -> list[str]:
    """Return the pairs of neighbouring characters of a name, its ends marked ^ and $, each once, in order of text.

    Characters outside of letters, figures and Chinese are left out first. Pairs, not triples: Chinese names have two to
    six characters, and one wrong character spoils two pairs but three triples.

    Examples
    --------
    >>> name_grams("听松路")
    ['^听', '听松', '松路', '路$']
    """
    plain = "".join(_GRAM_CHARACTERS.findall(fold_name(name)))
    if not plain:
        return []
    marked = f"^{plain}$"
    return list(dict.fromkeys(marked[i : i + 2] for i in range(len(marked) - 1)))


def edit_distance(a: str, b: str) -> int:
    """Return the fewest insertions, removals, replacements and swaps of neighbours that turn ``a`` into ``b``."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


@lru_cache(maxsize=65_536)
def name_similarity(a: str, b: str) -> float:
    """Return how alike two folded names are, 0 to 1; 1 only for the same.

    The word for the kind (路, 小区 ...) counts a quarter, the rest by the share of characters to be changed; a name that
    contains the other counts at least three fifths plus the share it fills.
    """
    if a == b:
        return 1.0
    if not a or not b:
        return 0.0
    stem_a, stem_b = _NAME_TAIL.sub("", a) or a, _NAME_TAIL.sub("", b) or b
    tail_a, tail_b = a[len(stem_a) :], b[len(stem_b) :]
    stems = 1.0 - edit_distance(stem_a, stem_b) / max(len(stem_a), len(stem_b))
    alike = 0.75 * stems + 0.25 * (tail_a == tail_b)
    shorter, longer = sorted((a, b), key=len)
    if len(shorter) >= 2 and shorter in longer:
        alike = max(alike, 0.6 + 0.38 * len(shorter) / len(longer))
    return min(alike, 0.99)
