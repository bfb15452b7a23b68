import numpy as np
import pytest
import shapely
from shapely.geometry import LineString

from gridsvc.circle.attachments import attach_points
from gridsvc.circle.gates import (
    Compounds,
    Gates,
    compounds_of_walls,
    parse_gate_hours,
    wall_streets,
)
from gridsvc.circle.travel_times import nearest_times
from gridsvc.circle.walk_network import build_walk_network, edge_seconds, with_gates
from gridsvc.errors import GeometryError

ESTATE = Compounds(("estate",), np.array([shapely.box(100, 100, 300, 300)], dtype=object))
AROUND = [
    LineString([(50, 50), (200, 50), (350, 50)]),
    LineString([(350, 50), (350, 350)]),
    LineString([(350, 350), (200, 350), (50, 350)]),
    LineString([(50, 350), (50, 50)]),
]
LANE = LineString([(200, 50), (200, 200), (200, 350)])  # through the estate, from south to north


def gates(*places, closed=(), hours=None):
    codes = tuple(f"g{number}" for number in range(len(places)))
    is_closed = np.array([number in closed for number in range(len(places))], dtype=bool)
    return Gates(codes, np.array(places, dtype=float).reshape(-1, 2), is_closed, hours or ("",) * len(places))


def walled_network(lines, *args, **options):
    walled = wall_streets(lines, *args, **options)
    network = build_walk_network(
        walled.lines,
        layer=walled.layer,
        penalty_s=walled.penalty_s,
        gate=walled.gate,
        is_closed=walled.is_closed,
        compound=walled.compound,
    )
    return walled, network


def walk_m(walled, network, home, facility):
    places = np.array([home, facility], dtype=float)
    attached = attach_points(network, places, compound=walled.compounds.numbers_at(places))
    one, other = (type(attached)(*(getattr(attached, n)[k : k + 1] for n in attached.__slots__)) for k in (0, 1))
    return float(nearest_times(network, one, other, [0], 1, speed_m_s=1.0, limit_s=3000.0)[0, 0])


def test_without_compounds_lines_come_back_as_they_are():
    walled = wall_streets(AROUND, Compounds.none(), Gates.none(), layer=[0, 1, 0, 0], penalty_s=[1, 2, 3, 4])

    assert walled.lines.tolist() == AROUND
    assert walled.layer.tolist() == [0, 1, 0, 0]
    assert walled.penalty_s.tolist() == [1, 2, 3, 4]
    assert walled.passages.code == ()
    assert (walled.gate == -1).all() and (walled.compound == -1).all() and not walled.is_closed.any()


def test_a_street_passes_the_wall_at_its_gate_and_is_stopped_where_there_is_none():
    walled, network = walled_network([*AROUND, LANE], ESTATE, gates((200, 100)))

    assert walled.passages.code == ("g0", "")
    assert walled.passages.is_closed.tolist() == [False, True]
    assert walled.passages.xy.tolist() == [[200, 100], [200, 299]]
    assert walk_m(walled, network, (210, 200), (200, 40)) == pytest.approx(10 + 150 + 10)
    # northwards the wall is closed: out by the south gate and round the estate
    assert walk_m(walled, network, (210, 200), (200, 360)) == pytest.approx(10 + 150 + 150 + 300 + 150 + 10)


def test_opening_the_gap_in_the_wall_is_one_change():
    walled, network = walled_network([*AROUND, LANE], ESTATE, gates((200, 100)))

    opened = with_gates(network, opened=[1])

    assert walk_m(walled, opened, (210, 200), (200, 360)) == pytest.approx(10 + 150 + 10)


def test_a_closed_gate_shuts_the_estate_in():
    walled, network = walled_network([*AROUND, LANE], ESTATE, gates((200, 100), closed=[0]))

    assert walk_m(walled, network, (210, 200), (200, 40)) == np.inf
    assert walk_m(walled, with_gates(network, opened=[0]), (210, 200), (200, 40)) == pytest.approx(170)


def test_passages_are_short_and_take_nobody():
    _, network = walled_network([*AROUND, LANE], ESTATE, gates((200, 100)))

    passing = network.edge_gate >= 0
    assert network.edge_length_m[passing] == pytest.approx(0.5)
    assert not np.isin(attach_points(network, [(200, 101.0), (200, 99.0)]).edge, np.flatnonzero(passing)).any()
    assert network.edge_length_m.sum() == pytest.approx(1500.0)


def test_a_home_behind_a_wall_does_not_attach_to_the_street_outside():
    walled, network = walled_network([*AROUND, LANE], ESTATE, gates((200, 100)))
    home = np.array([(110.0, 150.0)])

    attached = attach_points(network, home, compound=walled.compounds.numbers_at(home))

    assert attached.access_m[0] == pytest.approx(90.0)
    assert network.edge_compound[attached.edge[0]] == 0


def test_a_gate_on_no_street_is_joined_to_the_nearest_ones():
    walled, network = walled_network([*AROUND, LineString([(150, 150), (250, 150)])], ESTATE, gates((200, 300)))

    assert walled.yards == ()
    # straight from the path to the gate, through it, straight to the street
    assert walk_m(walled, network, (200, 150), (200, 350)) == pytest.approx(200.0)
    assert network.components.components == 1


def test_a_compound_without_streets_is_left_by_its_gates():
    walled, network = walled_network(AROUND, ESTATE, gates((200, 100), (300, 200), closed=[1]))

    assert walled.yards == (0,)
    assert walk_m(walled, network, (200, 180), (200, 50)) == pytest.approx(130.0)
    # the east gate is closed: by the south gate, and round the corner
    assert walk_m(walled, network, (200, 200), (350, 200)) == pytest.approx(150 + 150 + 150)
    assert walk_m(walled, with_gates(network, opened=[1]), (200, 200), (350, 200)) == pytest.approx(150.0)


def test_a_compound_without_a_gate_counts_as_not_walled():
    walled, network = walled_network([*AROUND, LANE], ESTATE, Gates.none())

    assert walled.compounds_without_gate == ("estate",)
    assert walled.passages.code == ()
    assert walk_m(walled, network, (110, 150), (200, 360)) == walk_m(
        walled, build_walk_network([*AROUND, LANE]), (110, 150), (200, 360)
    )


def test_a_gate_on_no_wall_is_left_out_and_named():
    walled, _ = walled_network([*AROUND, LANE], ESTATE, gates((200, 100), (200, 200)))

    assert walled.gates_on_no_wall == ("g1",)
    assert walled.passages.compound.tolist() == [0, -1, 0]


def test_a_gate_far_from_every_street_is_named():
    far = Compounds(("far",), np.array([shapely.box(900, 900, 1000, 1000)], dtype=object))

    walled, _ = walled_network(AROUND, far, gates((950, 900)))

    assert walled.gates_without_street == ("g0",)


def test_a_bridge_passes_over_the_wall():
    walled, network = walled_network([*AROUND, LANE], ESTATE, gates((300, 200)), layer=[0, 0, 0, 0, 1])

    assert walled.passages.code == ("g0",)
    assert walk_m(walled, network, (200, 49), (200, 351)) == pytest.approx(302.0)


def test_a_street_along_the_outline_lies_outside():
    along = LineString([(100, 100), (300, 100)])

    walled = wall_streets([*AROUND, along], ESTATE, gates((100, 200)))

    assert walled.passages.code == ("g0",)
    assert walled.compound[4] == -1


def test_a_street_that_only_touches_the_wall_is_not_stopped():
    touching = LineString([(90, 90), (101, 200), (90, 310)])

    _, network = walled_network([touching], ESTATE, gates((300, 200)))

    assert (network.edge_closed_by == -1).all()


def test_a_penalty_is_shared_by_the_pieces_of_a_cut_street():
    _, network = walled_network([*AROUND, LANE], ESTATE, gates((200, 100), (200, 300)), penalty_s=[0, 0, 0, 0, 60])

    assert network.edge_penalty_s.sum() == pytest.approx(60.0)
    assert edge_seconds(network, 1.0).sum() == pytest.approx(1500.0 + 60.0)


def test_gates_are_closed_by_the_hour():
    walled, _ = walled_network([*AROUND, LANE], ESTATE, gates((200, 100), (200, 300), hours=("06:00-22:00", "")))

    assert walled.passages.closed_at().tolist() == []
    assert walled.passages.closed_at(12.0).tolist() == []
    assert walled.passages.closed_at(23.0).tolist() == [0]


@pytest.mark.parametrize(
    ("hours", "hour", "is_open"),
    [
        ("06:00-22:00", 6.0, True),
        ("06:00-22:00", 22.0, False),
        ("22:00-06:30", 6.25, True),
        ("22:00-06:30", 12.0, False),
        ("05:00-24:00", 23.99, True),
    ],
)
def test_hours_are_half_open_and_may_pass_midnight(hours, hour, is_open):
    assert parse_gate_hours(hours).is_open(hour) is is_open


@pytest.mark.parametrize("hours", ["six to ten", "06:00", "24:30-05:00", "07:00-07:00", "6-22"])
def test_hours_written_otherwise_are_refused(hours):
    with pytest.raises(GeometryError, match="Gate hours"):
        parse_gate_hours(hours)


def test_walls_with_openings_become_compounds_with_gates():
    ring = [
        LineString([(203, 100), (300, 100), (300, 300), (100, 300), (100, 205)]),
        LineString([(100, 195), (100, 100), (197, 100)]),
        LineString([(500, 0), (500, 80)]),  # encloses nothing
    ]

    compounds, found = compounds_of_walls(ring)

    assert shapely.area(compounds.outline).tolist() == [pytest.approx(40_000.0)]
    assert found.xy.tolist() == [[100, 200], [200, 100]]
    assert found.code == ("wall-00001-1", "wall-00001-2")
    assert not found.is_closed.any()


def test_an_opening_wider_than_a_gate_leaves_the_area_open():
    compounds, found = compounds_of_walls([LineString([(120, 100), (300, 100), (300, 300), (100, 300), (100, 100)])])

    assert compounds.code == ()
    assert found.code == ()


def test_no_walls_enclose_nothing():
    compounds, found = compounds_of_walls([])

    assert (compounds.code, found.code) == ((), ())


def test_points_on_a_wall_are_outside():
    numbers = ESTATE.numbers_at([(200, 200), (100, 200), (50, 50)])

    assert numbers.tolist() == [0, -1, -1]


def test_order_of_streets_does_not_matter():
    lines = [*AROUND, LANE, LineString([(100, 250), (220, 250)])]
    place = gates((200, 100), (100, 250))

    _, network = walled_network(lines, ESTATE, place)
    _, again = walled_network([shapely.reverse(line) for line in lines[::-1]], ESTATE, place)

    assert network.content_sha256 == again.content_sha256


def test_a_compound_in_a_compound_is_left_through_both_walls():
    inner = shapely.box(180, 180, 220, 220)
    nested = Compounds(("estate", "yard"), np.array([ESTATE.outline[0], inner], dtype=object))

    walled, network = walled_network([*AROUND, LANE], nested, gates((200, 100), (200, 180), (200, 220), closed=[2]))

    assert nested.numbers_at([(200, 200), (150, 150)]).tolist() == [1, 0]
    assert walk_m(walled, network, (205, 200), (200, 40)) == pytest.approx(5 + 150 + 10)
    assert walk_m(walled, with_gates(network, closed=[1]), (205, 200), (200, 40)) == np.inf


def test_of_streets_equally_near_a_gate_the_western_one_is_joined_whatever_their_order():
    yard = Compounds(("yard",), np.array([shapely.box(190, 0, 210, 100)], dtype=object))
    west, east = LineString([(170, 100), (170, 180)]), LineString([(230, 100), (230, 180)])

    hashes = {
        walled_network(lines, yard, gates((200, 100)))[1].content_sha256 for lines in ([west, east], [east, west])
    }

    assert len(hashes) == 1
