"""Addresses: a composed one gives back its parts; no text whatever makes the parser fail."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridsvc.geo.addresses import (
    LONGEST_TEXT,
    Address,
    compose_address,
    edit_distance,
    fold_name,
    name_grams,
    name_similarity,
    normalise,
    parse_address,
    parse_below_divisions,
)

# words that are no part of any word for a kind (路, 号, 区 ...), as most names are
WORDS = st.text(alphabet="云澜望舒听松澄江栖霞朝晖明岚远帆青梧锦长歌晴川沐风揽月", min_size=2, max_size=4)
FIGURES = st.integers(1, 9999).map(str)
PARTS = ("province", "city", "district", "street", "community", "road", "number", "place", "building", "unit", "room", "roads", "side", "offset_m")  # fmt: skip


def named(*tails: str) -> st.SearchStrategy[str]:
    return st.builds(str.__add__, WORDS, st.sampled_from(tails))


@st.composite
def addresses(draw) -> Address:
    made = Address("")
    for part, kind in (("province", named("省")), ("city", named("市")), ("district", named("区", "县")), ("street", named("街道", "镇")), ("community", named("社区", "居委会"))):  # fmt: skip
        if draw(st.booleans()):
            made = replace(made, **{part: draw(kind)})
    if draw(st.integers(0, 4)) == 0:
        return replace(made, roads=(draw(named("路", "大道")), draw(named("路", "街"))), relation="crossing")
    if draw(st.booleans()):
        made = replace(made, road=draw(named("路", "大道", "街", "巷")))
        if draw(st.booleans()):
            made = replace(made, number=draw(FIGURES))
    if draw(st.booleans()):
        made = replace(made, place=draw(named("小区", "花园", "公寓")), building=draw(st.integers(1, 99).map(str)))
        if draw(st.booleans()):
            made = replace(made, unit=draw(st.integers(1, 9).map(str)), room=draw(st.integers(101, 3204).map(str)))
    if draw(st.booleans()) and (made.road or made.place):
        made = replace(made, side=draw(st.sampled_from(("东", "西北"))), offset_m=float(draw(st.integers(1, 900))))
    return made


def wide(text: str) -> str:
    """Return the text with full-width figures."""
    return "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in text)


# making an address draws up to twenty words; on a busy machine that alone trips the check of the time
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@unhurried
@given(addresses())
def test_a_composed_address_gives_back_its_parts(address):
    parsed = parse_address(compose_address(address))

    assert {part: getattr(parsed, part) for part in PARTS} == {part: getattr(address, part) for part in PARTS}


@unhurried
@given(addresses(), st.integers(0, 40))
def test_width_and_blanks_of_writing_do_not_matter(address, at):
    text = compose_address(address)

    assert parse_address(wide(text[:at] + " " + text[at:])) == parse_address(text)


@given(
    st.text(max_size=300)
    | st.text(alphabet="东西南北路街号栋室一二十百千米口与附近社区市省（）()【】-0９ A", max_size=300)
)
def test_no_text_makes_the_parser_fail(text):
    parsed = parse_address(text)
    parse_below_divisions(text)

    assert len(parsed.text) <= LONGEST_TEXT
    assert normalise(parsed.text) == parsed.text
    compose_address(parsed)


@given(st.text(alphabet="云澜望舒路街小区12A", max_size=8), st.text(alphabet="云澜望舒路街小区12A", max_size=8))
def test_likeness_is_symmetric_and_one_only_for_the_same(a, b):
    alike = name_similarity(a, b)

    assert alike == name_similarity(b, a)
    assert 0.0 <= alike <= 1.0
    assert (alike == 1.0) == (a == b)


@given(WORDS, WORDS, WORDS)
def test_edits_obey_the_triangle(a, b, c):
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c) + 1  # +1: a swap may be split in two edits


@given(st.text(max_size=40))
def test_pairs_are_safe_in_an_array_of_the_database(text):
    assert all(not set(gram) & set('{}",\\') for gram in name_grams(text))
    assert fold_name(fold_name(text)) == fold_name(text)
