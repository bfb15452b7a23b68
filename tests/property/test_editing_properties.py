"""Whatever a planner draws, and in whatever order: after every step the grids are an exact, nested, contiguous partition."""

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gridsvc.division.checks import buildings_cut
from gridsvc.division.edit_checks import loose_parts
from gridsvc.division.editable_grids import GOVERNANCE, UNIT, GridRef
from gridsvc.division.editing import merge, move_border, move_building, move_unit, split
from gridsvc.errors import GridsvcError, PartitionError
from gridsvc.geo.partitions import check_partition, is_exact
from gridsvc.geo.projections import to_metric, to_storage
from tests.factories.edits import EPSG, divided, free_codes
from tests.factories.towns import building_rows, town
from tests.property.test_division_invariants import communities

KINDS = st.sampled_from([UNIT, GOVERNANCE])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def towns_to_edit(draw):
    """Return a divided town: blocks and slabs, the same without streets, or any odd community."""
    kind = draw(st.sampled_from(["blocks", "no streets", "odd"]))
    event(f"town: {kind}")
    if kind == "odd":
        return draw(communities())
    if kind == "blocks":
        return town(width=390.0, height=260.0, seed=draw(st.integers(0, 5)))
    return town(
        width=300.0,
        height=260.0,
        streets=np.empty(0, dtype=object),
        buildings=building_rows(300.0, 260.0, block=90.0),
    )


class Editing(RuleBasedStateMachine):
    """Random splits, merges and moves on one town; refused steps change nothing, others keep every invariant."""

    @initialize(community=towns_to_edit())
    def begin(self, community):
        try:
            self.grids = divided(community)
        except PartitionError:
            self.grids = divided(town(width=260.0, height=260.0))
        self.first = self.grids
        self.free = free_codes()
        self.ever = set(self.grids.refs())
        self.gone = set()

    def pick(self, rng, kind):
        refs = sorted(ref for ref in self.grids.refs() if ref.kind == kind)
        return refs[int(rng.integers(len(refs)))]

    def neighbour(self, rng, ref):
        """Return another grid of the kind, most often one beside ``ref``."""
        refs = sorted(r for r in self.grids.refs() if r.kind == ref.kind and r != ref)
        near = [r for r in refs if shapely.intersects(self.grids.shape(r), self.grids.shape(ref))]
        among = near if near and rng.random() < 0.9 else refs
        return among[int(rng.integers(len(among)))] if among else ref

    def apply(self, name, operation, *arguments, **options):
        before = self.grids
        try:
            self.grids, change = operation(before, *arguments, **options)
        except GridsvcError as error:
            event(f"{name}: {type(error).__name__} {error.details.get('check', '')}")
            assert error.hint or error.details
            return
        event(f"{name}: done")
        self.check_change(before, change)

    def check_change(self, before, change):
        assert set(change.new) & self.ever == set()
        assert set(change.retired) == before.refs() - self.grids.refs()
        self.ever |= set(change.new)
        self.gone |= set(change.retired)
        for ref in before.refs() & self.grids.refs():
            was, now = before.shape(ref), self.grids.shape(ref)
            if ref in change.reshaped:
                assert shapely.symmetric_difference(was, now).area > 1e-4
            elif ref in change.gained_vertices:
                assert shapely.symmetric_difference(was, now).area < 2e-4 * was.length
            else:
                assert shapely.equals_exact(was.normalize(), now.normalize(), tolerance=0.0)

    @rule(kind=KINDS, seed=SEEDS, along=st.booleans(), around=st.booleans())
    def split_by_chord(self, kind, seed, along, around):
        rng = np.random.default_rng(seed)
        ref = self.pick(rng, kind)
        west, south, east, north = self.grids.shape(ref).bounds
        corners = [(west, south), (west, north), (east, north), (east, south)]
        ends = rng.permutation(4)[:2]
        line = [np.array(corners[i]) + rng.uniform(-0.3, 0.3, 2) * (east - west, north - south) for i in ends]
        for _ in range(int(rng.integers(0, 3))):
            line.insert(1, rng.uniform((west, south), (east, north)))
        self.apply(f"split {kind}", split, ref, line, free_codes=self.free, along_units=along, around_buildings=around)

    @rule(kind=KINDS, seed=SEEDS)
    def merge_neighbours(self, kind, seed):
        rng = np.random.default_rng(seed)
        refs = [self.pick(rng, kind)]
        for _ in range(int(rng.integers(1, 3))):
            refs.append(self.neighbour(rng, refs[-1]))
        self.apply(f"merge {kind}", merge, refs)

    @rule(kind=KINDS, seed=SEEDS, around=st.booleans())
    def move_a_border(self, kind, seed, around):
        rng = np.random.default_rng(seed)
        first = self.pick(rng, kind)
        second = self.neighbour(rng, first)
        border = shapely.intersection(self.grids.shape(first), self.grids.shape(second))
        points = shapely.get_coordinates(shapely.segmentize(border, 5.0))
        if len(points) < 2:
            return
        start, end = points[np.sort(rng.choice(len(points), 2, replace=False))]
        middle = [(start + end) / 2 + rng.normal(0, 25.0, 2) for _ in range(int(rng.integers(1, 4)))]
        self.apply(
            f"move border {kind}", move_border, first, second, np.array([start, *middle, end]), around_buildings=around
        )

    @rule(kind=KINDS, seed=SEEDS, attached=st.booleans())
    def move_a_building(self, kind, seed, attached):
        rng = np.random.default_rng(seed)
        ids = self.grids.ground.building_ids
        if len(ids) == 0:
            return
        which = int(rng.integers(len(ids)))
        inside = np.flatnonzero(shapely.intersects(self.grids.units, self.grids.ground.buildings[which]))
        if len(inside) == 0:
            return
        here = self.grids.codes[inside[0]] if kind == UNIT else self.grids.parents[inside[0]]
        to = self.neighbour(rng, GridRef(kind, here))
        self.apply(f"move building {kind}", move_building, ids[which], to, with_attached=attached)

    @rule(seed=SEEDS)
    def move_a_unit(self, seed):
        rng = np.random.default_rng(seed)
        chosen = self.pick(rng, UNIT)
        parent = self.grids.parents[self.grids.members(chosen)[0]]
        self.apply("move unit", move_unit, chosen, self.neighbour(rng, GridRef(GOVERNANCE, parent)))

    @invariant()
    def partition_is_exact(self):
        units = self.grids.units
        boundary = self.first.ground.boundaries[self.grids.communities[0]]
        assert is_exact(units)
        assert check_partition(boundary, units).is_exact
        stored = to_storage(units, EPSG)
        assert is_exact(stored)
        assert (shapely.to_wkb(to_metric(stored, EPSG)) == shapely.to_wkb(units)).all()

    @invariant()
    def boundary_vertices_stay(self):
        boundary = self.first.ground.boundaries[self.grids.communities[0]]
        held = {tuple(v) for v in shapely.get_coordinates(self.grids.units).tolist()}
        assert {tuple(v) for v in shapely.get_coordinates(boundary).tolist()} <= held

    @invariant()
    def grids_are_nested_and_in_one_piece(self):
        governing = [self.grids.shape(ref) for ref in sorted(self.grids.refs()) if ref.kind == GOVERNANCE]
        assert is_exact(np.array(governing, dtype=object))
        assert abs(shapely.area(governing).sum() - shapely.area(self.grids.units).sum()) < 1e-3
        assert all(shape.geom_type == "Polygon" for shape in self.grids.units)
        assert all(loose_parts(self.grids, ref) == 0 for ref in self.grids.refs())

    @invariant()
    def no_building_is_newly_cut(self):
        buildings = self.grids.ground.buildings
        assert set(buildings_cut(self.grids.units, buildings)) <= set(buildings_cut(self.first.units, buildings))

    @invariant()
    def counts_are_kept_and_codes_never_return(self):
        assert (self.grids.counts.sum(axis=0) == self.first.counts.sum(axis=0)).all()
        assert (self.grids.counts >= 0).all()
        assert self.grids.refs() & self.gone == set()


TestEditing = Editing.TestCase
TestEditing.settings = settings(
    max_examples=12,
    stateful_step_count=14,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
class TestEditingAtLength(Editing.TestCase):
    settings = settings(
        max_examples=40,
        stateful_step_count=25,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
