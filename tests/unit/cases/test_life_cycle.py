import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridsvc.cases.life_cycle import STAGES, is_move_allowed

stages = st.sampled_from(sorted(STAGES))


@pytest.mark.parametrize("stage", STAGES)
def test_every_move_leads_to_a_stage_of_the_table(stage):
    assert set(STAGES[stage].next) <= set(STAGES)
    assert len(set(STAGES[stage].next)) == len(STAGES[stage].next)
    assert stage not in STAGES[stage].next


@given(st.data())
def test_no_sequence_of_allowed_moves_leaves_the_table(data):
    stage = "reported"
    for _ in range(30):
        following = STAGES[stage].next
        if not following:
            break
        to_stage = data.draw(st.sampled_from(following))
        assert is_move_allowed(stage, to_stage)
        assert to_stage in STAGES
        stage = to_stage


@given(stages, st.one_of(stages, st.text(max_size=12)))
def test_move_is_allowed_exactly_when_the_table_lists_it(stage, to_stage):
    assert is_move_allowed(stage, to_stage) == (to_stage in STAGES[stage].next)


def reachable_from(stage: str) -> set[str]:
    seen, open_stages = {stage}, [stage]
    while open_stages:
        for following in STAGES[open_stages.pop()].next:
            if following not in seen:
                seen.add(following)
                open_stages.append(following)
    return seen


def test_every_stage_is_reached_from_a_report():
    assert reachable_from("reported") == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_case_can_come_to_an_end(stage):
    assert reachable_from(stage) & {"closed", "voided", "merged"}


def test_closing_is_final_but_for_reopening():
    assert STAGES["closed"].next == ("handling",)
    assert STAGES["voided"].next == STAGES["merged"].next == ()


def test_who_handles_does_not_close():
    assert STAGES["handled"].actor != STAGES["checking"].actor
    assert "closed" not in STAGES["handling"].next + STAGES["handled"].next


def test_unknown_stage_is_a_programming_error():
    with pytest.raises(KeyError):
        is_move_allowed("lost", "closed")
