"""Chinese addresses taken apart: what is written, and what is meant by it."""

import pytest

from gridsvc.geo.addresses import (
    Address,
    chinese_number,
    edit_distance,
    fold_name,
    name_grams,
    name_similarity,
    normalise,
    parse_address,
    parse_below_divisions,
    region_stem,
)


def said(address: Address) -> dict:
    """Return the parts that are given, without the whole text."""
    parts = {name: getattr(address, name) for name in Address.__slots__ if name not in ("text", "named")}
    return {name: value for name, value in parts.items() if value not in ("", None, (), "at")}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("湖北省武汉市洪山区珞喻路1037号", {"province": "湖北省", "city": "武汉市", "district": "洪山区", "road": "珞喻路", "number": "1037"}),
        ("江汉区民族街道中山大道一百二十号", {"district": "江汉区", "street": "民族街道", "road": "中山大道", "number": "120"}),
        ("前进街道办事处红旗社区居委会", {"street": "前进街道办事处", "community": "红旗社区居委会"}),
        ("米市十九里7号", {"road": "米市十九里", "number": "7"}),
        ("武珞路586-3号", {"road": "武珞路", "number": "586", "number_suffix": "-3"}),
        ("一环路东三段12号附2号", {"road": "一环路东三段", "number": "12", "number_suffix": "附2"}),
        ("建国门外大街甲12号院3号楼", {"road": "建国门外大街", "number": "12", "number_suffix": "甲", "building": "3"}),
        ("中山北路1234弄5号201室", {"road": "中山北路", "lane": "1234弄", "number": "5", "room": "201"}),
        ("民主路民主二巷12号", {"road": "民主路", "lane": "民主二巷", "number": "12"}),
        ("蔷薇小区３栋２单元５０１室", {"place": "蔷薇小区", "building": "3", "unit": "2", "room": "501"}),
        ("蔷薇小区3-2-501", {"place": "蔷薇小区", "building": "3", "unit": "2", "room": "501"}),
        ("城市花园A座十二层1203室", {"place": "城市花园", "building": "A", "floor": "12", "room": "1203"}),
        ("蔷薇小区三号楼", {"place": "蔷薇小区", "building": "3"}),
        ("望湖楼二〇一室", {"place": "望湖楼", "room": "201"}),
        ("解放路幼儿园", {"road": "解放路", "place": "幼儿园"}),
        ("地铁1号线江汉路站", {"place": "地铁1号线江汉路站"}),
        ("街道口附近", {"place": "街道口", "relation": "near"}),
        ("中百超市", {"place": "中百超市"}),
    ],
)  # fmt: skip
def test_an_address_falls_into_its_parts(text, parts):
    assert said(parse_address(text)) == parts


@pytest.mark.parametrize(
    ("text", "roads"),
    [
        ("解放大道与航空路交叉口", ("解放大道", "航空路")),
        ("解放大道江汉路口", ("解放大道", "江汉路")),
        ("解放大道和江汉路交汇处", ("解放大道", "江汉路")),
        ("解放大道/江汉路", ("解放大道", "江汉路")),
        ("莲塘西里与米市十九里交叉口", ("莲塘西里", "米市十九里")),
    ],
)
def test_a_crossing_has_two_roads(text, roads):
    address = parse_address(text)

    assert (address.roads, address.relation) == (roads, "crossing")


@pytest.mark.parametrize(
    ("text", "side", "offset_m", "relation"),
    [
        ("华中大学东侧100米", "东", 100.0, "at"),
        ("光谷三路12号往西北约50米处", "西北", 50.0, "at"),
        ("中山大道12号对面", "", None, "opposite"),
        ("中山大道12号门口", "", None, "near"),
        ("解放大道与航空路交叉口东南角", "东南", None, "crossing"),
    ],
)
def test_where_it_lies_from_there(text, side, offset_m, relation):
    address = parse_address(text)

    assert (address.side, address.offset_m, address.relation) == (side, offset_m, relation)


def test_only_known_divisions_are_taken_for_divisions_when_they_can_be_asked():
    known = {("district", "江汉区"): "江汉区", ("city short", "武汉"): "武汉", ("city", "武汉"): "武汉市"}

    address = parse_address("武汉江汉区后湖新区百步亭路5号", lambda level, name, above: known.get((level, name)))

    assert (address.city, address.district, address.road, address.number) == (
        "武汉市",
        "江汉区",
        "后湖新区百步亭路",
        "5",
    )


def test_a_city_name_at_the_beginning_of_a_road_is_not_the_city():
    address = parse_address("武汉大道5号", lambda level, name, above: "武汉市" if name == "武汉" else None)

    assert (address.city, address.road) == ("", "武汉大道")


def test_a_district_that_begins_like_its_city_is_the_district():
    known = {
        ("city", "示例"): "示例市",
        ("city short", "示例"): "示例",
        ("district", "示例望澜区"): "示例望澜区",
        ("street", "鹿野街道"): "鹿野街道",
    }

    address = parse_address("示例望澜区鹿野街道朝晖路5号", lambda level, name, above: known.get((level, name)))

    assert (address.city, address.district, address.street, address.road) == ("", "示例望澜区", "鹿野街道", "朝晖路")


def test_a_poi_keeps_its_number_as_part_of_its_name():
    assert parse_address("揽胜便利店2号").named == "揽胜便利店2号"


def test_registers_are_parsed_without_divisions():
    address = parse_below_divisions("听松大道5号揽胜便利店")

    assert (address.road, address.number, address.place) == ("听松大道", "5", "揽胜便利店")


@pytest.mark.parametrize(
    ("written", "value"),
    [("一百二十", 120), ("十", 10), ("二十三", 23), ("二〇一", 201), ("两千零五", 2005), ("一百零八", 108)],
)
def test_numerals_have_their_value(written, value):
    assert chinese_number(written) == value


def test_normalising_leaves_names_with_numerals_alone():
    assert normalise("三元里 五十号（院内）") == "三元里50号"


def test_figures_in_names_are_folded_to_numerals():
    assert fold_name("光谷3路") == fold_name("光谷三路") == "光谷三路"
    assert fold_name("110街社区") == "110街社区"


@pytest.mark.parametrize(
    ("name", "stem"), [("红旗社区居委会", "红旗"), ("江汉区", "江汉"), ("民族街道", "民族"), ("东区", "东区")]
)
def test_a_division_is_known_by_its_stem(name, stem):
    assert region_stem(name) == stem


def test_pairs_of_characters_mark_the_ends():
    assert name_grams("听松路") == ["^听", "听松", "松路", "路$"]
    assert name_grams("，") == []


def test_likeness_puts_a_misspelt_name_before_another_name():
    right = name_similarity("听颂大道", "听松大道")

    assert name_similarity("听松大道", "听松大道") == 1.0
    assert name_similarity("长歌大道", "听松大道") < right < 1.0
    assert name_similarity("蔷薇", "蔷薇小区") > 0.7


def test_swapped_neighbours_are_one_edit():
    assert edit_distance("中大山道", "中山大道") == 1
