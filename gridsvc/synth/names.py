"""Names of made-up places and people, Chinese and plainly invented."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# Our choice: pleasant words that no list of real place names was consulted for; any likeness is chance.
STREET_WORDS = (
    "云澜",
    "望舒",
    "听松",
    "澄江",
    "栖霞",
    "朝晖",
    "明岚",
    "远帆",
    "青梧",
    "锦帆",
    "长歌",
    "星野",
    "晴川",
    "沐风",
    "揽月",
    "渔歌",
    "流芳",
    "画屏",
    "扶摇",
    "采薇",
    "鹿鸣",
    "清和",
    "瑞禾",
    "怀远",
    "丹枫",
    "素秋",
    "飞鸿",
    "弄墨",
    "抱朴",
    "临溪",
)
LANE_WORDS = (
    "桂子",
    "柳荫",
    "杏坛",
    "竹影",
    "莲塘",
    "梅坞",
    "槐安",
    "棠梨",
    "兰亭",
    "荷香",
    "枣林",
    "榆钱",
    "松涛",
    "桑麻",
    "芦花",
    "橘颂",
    "樱落",
    "桐花",
    "芸窗",
    "菊圃",
    "藕池",
    "茶坊",
    "书院",
    "灯市",
    "针织",
    "铁匠",
    "米市",
    "布衣",
    "油坊",
    "石桥",
)
PLACE_WORDS = (
    "望澜",
    "听溪",
    "云台",
    "锦里",
    "青禾",
    "长风",
    "星河",
    "晴岚",
    "沐春",
    "揽胜",
    "流云",
    "画桥",
    "扶光",
    "采苓",
    "鹿野",
    "清晏",
    "瑞安",
    "怀瑾",
    "丹霞",
    "素问",
    "飞凤",
    "抱月",
    "临泉",
    "景和",
    "永乐",
    "安澜",
    "康宁",
    "双槐",
    "九曲",
    "三元",
)
COMPOUND_WORDS = (
    "春晓",
    "夏荷",
    "秋实",
    "冬青",
    "紫薇",
    "丁香",
    "海棠",
    "银杏",
    "香樟",
    "水杉",
    "合欢",
    "翠屏",
    "碧波",
    "金桂",
    "玉兰",
    "芙蓉",
    "蔷薇",
    "茉莉",
    "百合",
    "牡丹",
)
_ORDINALS = "一二三四五六七八九十"
_SURNAMES = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗")
_STEMS = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES = "子丑寅卯辰巳午未申酉戌亥"


@dataclass(slots=True)
class Namer:
    """Gives names in an order that depends on its generator alone; a word used up comes back with 东, 西, 南, 北, 二 ..."""

    rng: np.random.Generator
    used: dict[str, int] = field(default_factory=dict)

    def street(self, words: tuple[str, ...], suffix: str) -> str:
        """Return a new street name made of a word and a suffix such as 路."""
        word = words[int(self.rng.integers(len(words)))]
        times = self.used.get(word + suffix, 0)
        self.used[word + suffix] = times + 1
        if times == 0:
            return word + suffix
        return word + "东西南北"[times - 1] + suffix if times <= 4 else f"{word}{_chinese(times - 3)}{suffix}"

    def place(self, suffix: str) -> str:
        """Return a new name of a street office or community."""
        return self.street(PLACE_WORDS, suffix)


def _chinese(number: int) -> str:
    """Return a whole number from 1 to 99 in Chinese digits; larger ones in figures."""
    if number > 99:
        return str(number)
    tens, ones = divmod(number, 10)
    text = ("" if tens <= 1 else _ORDINALS[tens - 1]) + ("十" if tens else "")
    return text + (_ORDINALS[ones - 1] if ones else "")


def person_name(number: int) -> str:
    """Return a placeholder name like 王某甲子: surname, 某 ("a certain"), and a pair of the sixty-year cycle."""
    surname = _SURNAMES[number % len(_SURNAMES)]
    turn = number // len(_SURNAMES)
    return f"{surname}某{_STEMS[turn % 10]}{_BRANCHES[turn % 12]}"
