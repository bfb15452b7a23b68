"""One net for several: what most networks agree on, true grids recovered, exact coverage, codes, bounds, costs."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridsvc.errors import GridsvcError
from gridsvc.geo.projections import to_metric
from gridsvc.geo.stored_coverages import coverage_to_storage
from gridsvc.networks.nets import Net
from gridsvc.networks.overlay import NOBODY, overlay
from gridsvc.networks.unified import ALTERNATIVES, HouseholdBounds, Proposal, proposals
from gridsvc.networks.unified_costs import cost_of, fates, people_moved
from gridsvc.networks.unified_ground import UnifiedGround, settled_owners, unified_ground
from gridsvc.synth.drawn_nets import Distortion, copies, drawn, grouped, parcel_city

BOX = shapely.box
CITY = parcel_city(900)
GROUPS = grouped(CITY, 280, seed=3)
TRUTH = drawn(CITY, "truth", GROUPS, Distortion(jitter_m=0.0), seed=99).net.geometry
WRONG = {"shifted": 0.03, "missing": 0.04, "merged": 0.08, "split": 0.06}


def net(name: str, **grids: shapely.Geometry) -> Net:
    return Net.of(name, list(grids), list(grids.values()))


def squares(name: str, *rows: str) -> Net:
    """Return a net drawn as text: each letter is a square of 100 m, equal letters one grid, a dot nobody's."""
    codes = sorted({letter for row in rows for letter in row} - {"."})
    shapes = [
        shapely.union_all([
            BOX(100 * x, -100 * y, 100 * x + 100, 100 - 100 * y)
            for y, row in enumerate(rows) for x, letter in enumerate(row) if letter == code
        ])
        for code in codes
    ]  # fmt: skip
    return Net.of(name, codes, shapes)


def ground_of(*nets: Net, reference: str | None = None, **options) -> UnifiedGround:
    names = [each.name for each in nets]
    return unified_ground(overlay(nets), reference=names.index(reference or names[0]), **options)


def by_name(ground: UnifiedGround, **options) -> dict[str, Proposal]:
    return {each.name: each for each in proposals(ground, **options)}


def drawing(ground: UnifiedGround, proposal: Proposal, columns: int, rows: int = 1) -> list[str]:
    """Return the unified grids as text, a letter for each square: a, b, c in the order in which they come."""
    shapes = proposal.geometry(ground)
    letters: dict[int, str] = {}
    answer = []
    for y in range(rows):
        line = ""
        for x in range(columns):
            held = np.flatnonzero(shapely.intersects_xy(shapes, 100 * x + 50, 50 - 100 * y))
            line += letters.setdefault(int(held[0]), "abcdefghijklmnop"[len(letters)]) if len(held) else "."
        answer.append(line)
    return answer


def of_size(geometry, other, share: float) -> np.ndarray:
    """Return pairs of shapes that have this share of all their land in common."""
    a, b = shapely.STRtree(other).query(geometry, predicate="intersects")
    both = shapely.area(shapely.intersection(geometry[a], other[b]))
    same = both > share * (shapely.area(geometry)[a] + shapely.area(other)[b] - both)
    return np.column_stack([a, b])[same]


def right(geometry) -> tuple[float, float]:
    """Return precision and recall of grids: a grid is right when it has over 90 % of the land of both in common with a true one."""
    pairs = of_size(geometry, TRUTH, 0.9)
    return len(np.unique(pairs[:, 0])) / len(geometry), len(np.unique(pairs[:, 1])) / len(TRUTH)


def off_true_borders(geometry, within_m: float) -> float:
    """Return the share of the borders that lies farther than this off the true ones."""
    true = shapely.buffer(shapely.union_all(shapely.boundary(TRUTH)), within_m)
    borders = shapely.union_all(shapely.boundary(geometry))
    return float(shapely.difference(borders, true).length / borders.length)


class TestAgreed:
    def test_where_two_of_three_draw_the_same_lines_the_net_is_the_true_one(self):
        nets = [
            each.net for each in copies(CITY, GROUPS, [Distortion(jitter_m=1.5, **WRONG)] * 3, same_lines=True, seed=5)
        ]
        exact = [drawn(CITY, name, GROUPS, Distortion(jitter_m=0.0), seed=k).net for k, name in enumerate(("x", "y"))]
        ground = unified_ground(overlay([nets[2], *exact], keep_land=False), reference=0)

        shapes = by_name(ground)["agreed"].geometry(ground)

        assert right(shapes) == (1.0, 1.0)
        assert off_true_borders(shapes, 0.05) < 0.002

    @pytest.mark.parametrize(
        ("what", "precision", "recall"),
        [
            ({}, 1.0, 1.0),
            ({"shifted": 0.03}, 1.0, 1.0),
            ({"missing": 0.04}, 1.0, 1.0),
            ({"merged": 0.08}, 1.0, 1.0),
            ({"split": 0.06}, 0.99, 0.99),
            (WRONG, 0.96, 0.98),
        ],
        ids=["jitter", "shifted borders", "missing grids", "merged grids", "split grids", "all of it"],
    )
    def test_true_grids_are_recovered_from_three_distorted_copies(self, what, precision, recall):
        nets = [each.net for each in copies(CITY, GROUPS, [Distortion(jitter_m=2.0, **what)] * 3, seed=7)]
        ground = ground_of(*nets)

        shapes = by_name(ground)["agreed"].geometry(ground)

        found = right(shapes)
        assert found[0] >= precision and found[1] >= recall
        each = [right(one.geometry) for one in nets]
        assert found[0] >= max(p for p, _ in each) and found[1] >= max(r for _, r in each)
        # the copies are drawn up to 2 m off, and up to 9 m where corners are shifted
        assert off_true_borders(shapes, 2.05) < (0.02 if what == {} else 0.06)

    def test_grids_that_two_of_three_copies_have_right_are_right(self):
        nets = [each.net for each in copies(CITY, GROUPS, [Distortion(jitter_m=2.0, **WRONG)] * 3, seed=11)]
        ground = ground_of(*nets)
        drawn_right = [set(of_size(TRUTH, one.geometry, 0.9)[:, 0].tolist()) for one in nets]
        agreed_on = {k for k in range(len(TRUTH)) if sum(k in each for each in drawn_right) >= 2}

        shapes = by_name(ground)["agreed"].geometry(ground)

        found = set(of_size(TRUTH, shapes, 0.9)[:, 0].tolist())
        assert len(agreed_on) > 240
        assert len(agreed_on & found) >= 0.99 * len(agreed_on)

    def test_the_reference_decides_where_two_networks_disagree(self):
        one, other = squares("one", "AABB"), squares("other", "PQQQ")

        for reference, wanted in (("one", "aabb"), ("other", "abbb")):
            ground = ground_of(one, other, reference=reference)
            assert drawing(ground, by_name(ground)["agreed"], 4) == [wanted]

    def test_crumbs_and_land_of_nobody_go_to_neighbours(self):
        # the middle of the ring is nobody's; the second square is another's in each network
        ring = squares("one", "AABBB", "AA.BB", "AABBB")
        ground = ground_of(ring, squares("two", "PPQQQ", "PP.QQ", "PPQQQ"))

        found = by_name(ground)["agreed"]

        assert drawing(ground, found, 5, 3) == ["aabbb", "aabbb", "aabbb"]


class TestReference:
    def test_its_grids_survive_with_their_codes_and_gaps_are_filled(self):
        # one has forgotten C, and a corner of B
        one = squares("one", "AABB..", "AAB...")
        other = squares("other", "AABBCC", "AABBCC")
        ground = ground_of(one, other)

        found = by_name(ground)["reference"]

        assert drawing(ground, found, 6, 2) == ["aabbcc", "aabbcc"]
        assert one.code[found.continues[found.continues >= 0]].tolist() == ["A", "B"]
        assert (found.continues == NOBODY).sum() == 1

    def test_a_grid_in_two_places_keeps_the_larger_one(self):
        ground = ground_of(squares("one", "AABBA"), squares("two", "PPQQQ"))

        found = by_name(ground)["reference"]

        assert drawing(ground, found, 5) == ["aabbb"]


class TestDoubleClaims:
    def test_contested_land_goes_to_the_longer_border_and_no_grid_is_left_without(self):
        # B overlaps A along its side; C lies wholly on A
        drawn_net = net("n", A=BOX(0, 0, 100, 100), B=BOX(80, 0, 200, 60), C=BOX(10, 10, 30, 30))
        atoms = overlay([drawn_net])

        owner = settled_owners(atoms)

        held = np.append(drawn_net.code, [None])[owner[:, 0]]
        area = {code: atoms.area_m2[held == code].sum() for code in "ABC"}
        # the strip of B and A has 80 m in common with A alone and 60 m with B alone
        assert area == {"A": pytest.approx(9600), "B": pytest.approx(6000), "C": pytest.approx(400)}


class TestWholeLand:
    def test_dedicated_grids_stay_as_they_are(self):
        nets = [squares("one", "AAAA"), squares("two", "BBBB"), squares("special", ".X..")]
        atoms = overlay(nets)
        ground = unified_ground(atoms, reference=0, voters=(0, 1), dedicated=atoms.owner[:, 2], households=[0.0] * 3)

        for found in proposals(ground):
            assert drawing(ground, found, 4) == ["abcc"]

    def test_no_grid_crosses_a_community_and_no_unit_grid_is_cut(self):
        nets = [squares("one", "AAABBB"), squares("two", "PPPQQQ"), squares("community", "XXXXYY")]

        def agreed(units: str) -> tuple[int, list[str]]:
            atoms = overlay([*nets, squares("unit", units)])
            ground = unified_ground(
                atoms, reference=0, voters=(0, 1), zone=atoms.owner[:, 2], whole=[atoms.owner[:, 3]]
            )
            return ground.blocks, drawing(ground, by_name(ground)["agreed"], 6)

        # the fourth square is one unit grid with the fifth, beyond the community: whole comes first
        assert agreed("STTUUV") == (4, ["aaabbc"])
        # the part of B this side of the community border is a crumb of it
        assert agreed("STTUVW") == (5, ["aaaabb"])

    def test_the_coverage_is_exact_in_metres_and_in_degrees(self):
        nets = [each.net for each in copies(CITY, GROUPS, [Distortion(jitter_m=2.0, **WRONG)] * 3, seed=7)]
        ground = ground_of(*nets, households=np.arange(len(overlay(nets).area_m2)) % 90)

        for found in proposals(ground):
            shapes = found.geometry(ground)
            stored = coverage_to_storage(shapes, 4547)
            for each in (shapes, stored, to_metric(stored, 4547)):
                assert shapely.is_valid(each).all()
                assert shapely.coverage_is_valid(each)
            assert set(shapely.get_type_id(shapes)) == {shapely.GeometryType.POLYGON}
            assert shapely.area(shapes).sum() == pytest.approx(ground.atoms.area_m2.sum())
            assert shapely.union_all(shapes).symmetric_difference(shapely.union_all(ground.atoms.geometry)).area < 1e-3


class TestBalanced:
    def test_small_grids_are_joined_and_large_ones_cut(self):
        one, other = squares("one", "ABCCCCD"), squares("two", "PQRRSSD")
        atoms = overlay([one, other])
        # the C of one is two halves in the other, of 400 each; A, B and D are too small
        homes = {"A": 150, "B": 200, "C": 400, "D": 60}
        figures = [homes[code] for code in atoms.codes(0)]

        found = by_name(unified_ground(atoms, reference=0, people=figures, households=figures))["balanced"]

        ground = unified_ground(atoms, reference=0, people=figures, households=figures)
        assert drawing(ground, found, 7) == ["aabbccc"]
        cost = cost_of(ground, found)
        assert (cost.too_few, cost.too_many) == (0, 0)

    def test_grids_within_bounds_are_left_alone(self):
        one = squares("one", "AABBCC")
        ground = ground_of(one, squares("two", "AABBCC"), households=[300, 400, 500])

        found = by_name(ground)

        assert (found["balanced"].group == found["agreed"].group).all()

    def test_fewer_households_lie_outside_and_only_where_they_are_known(self):
        nets = [each.net for each in copies(CITY, GROUPS, [Distortion(jitter_m=2.0, **WRONG)] * 3, seed=7)]
        atoms = overlay(nets)
        homes = np.random.default_rng(1).integers(0, 330, len(atoms.area_m2))
        ground = unified_ground(atoms, reference=0, people=homes, households=homes)

        found = by_name(ground)

        outside = {name: (cost := cost_of(ground, each)).too_few + cost.too_many for name, each in found.items()}
        assert outside["agreed"] > 150
        assert outside["balanced"] < 0.15 * len(found["balanced"])
        assert [each.name for each in proposals(unified_ground(atoms, reference=0))] == ["reference", "agreed"]

    def test_bounds_that_make_no_sense_are_refused(self):
        for low, high in ((500, 300), (-1, 5), (0, 0)):
            with pytest.raises(GridsvcError, match="make no sense"):
                HouseholdBounds(low, high)


class TestCosts:
    def test_people_workers_and_grids_are_counted(self):
        one, other = squares("one", "AABBC"), squares("two", "PPPQQ")
        ground = ground_of(one, other, people=[20, 10, 30, 5])

        found = by_name(ground)["reference"]
        cost = cost_of(ground, found, workers={"one": [1, 1, 2], "two": [3, 4]})

        first, second = cost.networks
        assert (first.kept, first.unchanged, first.people_moved, first.workers_moved) == (3, 3, 0.0, 0)
        # P goes on as A; B takes its last square. Q goes on as B or C, whichever has more of its people
        assert (second.kept, second.merged, second.split, second.nested) == (2, 0, 0, 0)
        assert second.people == 65.0
        assert second.people_moved == cost.people_moved == 10.0 + 5.0
        assert cost.workers_moved == 0
        assert cost.border_m == pytest.approx(200.0)
        assert (cost.border_undrawn_m, cost.border_off_lines_m, cost.border_new_m) == (0.0, None, None)
        assert cost.too_few is None
        assert fates(ground, found, 1)[0].tolist() == ["kept", "kept"]
        assert people_moved(ground, found)[:, 0].sum() == 0

    def test_merged_grids_and_their_workers(self):
        one, other = squares("one", "ABCD"), squares("two", "PPQQ")
        ground = ground_of(one, other, reference="two", people=[7, 3, 4, 6])

        cost = cost_of(ground, by_name(ground)["reference"], workers={"one": [1, 2, 4, 8]})

        assert (cost.networks[0].kept, cost.networks[0].merged, cost.networks[0].people_moved) == (2, 2, 7.0)
        assert cost.networks[0].workers_moved == 2 + 4

    def test_borders_off_streets_are_measured(self):
        one, other = squares("one", "AABB"), squares("two", "AABB")
        units = squares("unit", "STUV")
        street = np.array([shapely.LineString([(203, 0), (203, 60)])], dtype=object)
        atoms = overlay([one, other, units])
        homes = [300.0, 300.0, 0.0, 300.0]
        ground = unified_ground(
            atoms, reference=0, voters=(0, 1), whole=[atoms.owner[:, 2]], households=homes, lines=street
        )

        cut = cost_of(ground, by_name(ground)["balanced"])
        kept = cost_of(ground, by_name(ground)["agreed"])

        # the border that both drew has the street beside its middle
        assert (kept.border_m, kept.border_off_lines_m, kept.border_undrawn_m) == pytest.approx((100.0, 0.0, 0.0))
        assert (cut.border_undrawn_m, cut.border_new_m) == pytest.approx((100.0, 100.0))

    def test_figures_of_another_number_are_refused(self):
        ground = ground_of(squares("one", "AB"), squares("two", "PP"))

        with pytest.raises(GridsvcError, match="has 2 grids, but there are 3"):
            cost_of(ground, proposals(ground)[0], workers={"one": [1, 2, 3]})
        for wrong in ([1.0], [-1.0, 2.0], [np.nan, 1.0]):
            with pytest.raises(GridsvcError, match="people are 2 numbers"):
                unified_ground(ground.atoms, reference=0, people=wrong)
        with pytest.raises(GridsvcError, match="none of the networks"):
            unified_ground(ground.atoms, reference=5)


def random_nets(chance: np.random.Generator, names: str) -> list[Net]:
    """Return nets of rectangles on a board, with gaps and overlaps."""
    nets = []
    for name in names:
        low = chance.integers(0, 6, (chance.integers(1, 7), 2)) * 100
        high = low + chance.integers(1, 4, low.shape) * 100
        nets.append(
            Net.of(name, [f"{name}{i}" for i in range(len(low))], BOX(low[:, 0], low[:, 1], high[:, 0], high[:, 1]))
        )
    return nets


def answer_of(nets: list[Net], reference: str, homes) -> list[tuple]:
    ground = ground_of(*nets, reference=reference, people=homes, households=homes)
    answer = []
    for found in proposals(ground, bounds=HouseholdBounds(20, 60)):
        codes = np.append(ground.atoms.nets[ground.voters[ground.reference]].code, [None])[found.continues]
        cost = cost_of(ground, found)
        answer.append((shapely.to_wkt(found.geometry(ground)).tolist(), codes.tolist(), cost.people_moved, cost.grids))
    return answer


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_the_order_of_networks_and_grids_does_not_matter(seed: int):
    chance = np.random.default_rng(seed)
    nets = random_nets(chance, "abc")
    homes = chance.integers(0, 30, len(overlay(nets).area_m2)).astype(float)

    shuffled = []
    for k in chance.permutation(3):
        order = chance.permutation(len(nets[k]))
        shuffled.append(Net.of(nets[k].name, nets[k].code[order], nets[k].geometry[order]))

    assert answer_of(nets, "b", homes) == answer_of(shuffled, "b", homes)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_everybody_is_in_one_grid_and_every_grid_hangs_together(seed: int):
    chance = np.random.default_rng(seed)
    nets = random_nets(chance, "abc")
    atoms = overlay(nets)
    homes = chance.integers(0, 30, len(atoms.area_m2)).astype(float)
    ground = unified_ground(atoms, reference=1, people=homes, households=homes)

    for found in proposals(ground, bounds=HouseholdBounds(20, 60)):
        shapes = found.geometry(ground)
        assert found.sums(ground.people).sum() == homes.sum()
        assert sorted(set(found.group.tolist())) == list(range(len(found)))
        # a grid touches itself at corners at most where an atom does
        assert set(shapely.get_type_id(shapes)) == {shapely.GeometryType.POLYGON}
        assert shapely.is_valid(shapes).all()
        assert shapely.coverage_is_valid(shapes)
        points = shapely.point_on_surface(atoms.geometry)
        assert (shapely.STRtree(shapes).query(points, predicate="within")[1] == found.group).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=15)
def test_the_same_network_three_times_is_itself_and_costs_nothing(seed: int):
    chance = np.random.default_rng(seed)
    board = chance.integers(0, 5, (5, 6))
    drawn_net = squares("one", *["".join("ABCDE"[k] for k in row) for row in board])
    # grids in several places are none that hang together
    parts = shapely.get_parts(drawn_net.geometry)
    shapes, code = list(parts), [f"G{k}" for k in range(len(parts))]
    nets = [Net.of(name, code, shapes) for name in ("one", "two", "three")]
    ground = ground_of(*nets, people=np.ones(len(overlay(nets).area_m2)))

    for found in proposals(ground):
        cost = cost_of(ground, found)
        assert cost.people_moved == cost.new_codes == 0
        assert all(each.unchanged == each.grids for each in cost.networks)
        same = found.geometry(ground)
        own = nets[0].geometry[found.continues]
        assert shapely.area(shapely.symmetric_difference(same, own)).max() < 1e-3


def test_the_alternatives_come_in_their_order():
    ground = ground_of(squares("one", "AB"), squares("two", "PP"), households=[300, 300])

    assert tuple(each.name for each in proposals(ground)) == ALTERNATIVES
