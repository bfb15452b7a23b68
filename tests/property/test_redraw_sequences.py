"""Whatever is drafted, edited, approved and discarded, and in whatever order: at every instant the grids are as they should be."""

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from gridsvc.division.communities import DivisionRules
from gridsvc.errors import ConflictError, GridsvcError
from gridsvc.geo.partitions import check_partition, is_exact
from gridsvc.geo.projections import to_metric
from gridsvc.services.dividing import divide
from gridsvc.services.redraw_drafting import draft_copy
from gridsvc.services.redraw_edits import DraftEditor, list_steps
from gridsvc.services.redraws import approve_redraw, discard_redraw
from gridsvc.store.frames import plain_columns, read_frame, wkb
from gridsvc.store.tables import grids as grid_table
from gridsvc.store.unit_of_work import UnitOfWork
from tests.factories.neighbouring_towns import COMMUNITIES, DISTRICT, SOUTHERN_STREET, put_neighbours
from tests.factories.undivided_district import EPSG

pytestmark = pytest.mark.postgis

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
NETWORKS = ("urban", "social")
PLACES = st.sampled_from([*COMMUNITIES, *COMMUNITIES, SOUTHERN_STREET, DISTRICT])
NETWORK = st.sampled_from(NETWORKS)
PHASES = [Phase.generate]
SEEDS = st.integers(0, 2**32 - 1)
# what a vertex put onto a border within the tolerance may move it, per metre of border
_VERTEX_M2_PER_M = 1e-3


class Grid(NamedTuple):
    """A row of the table of grids; ``what`` are its other attributes."""

    network: str
    code: str
    parent: str | None
    community: str
    redraw_id: str
    households: int
    what: tuple
    shape: bytes
    begins: datetime
    ends: datetime | None

    def holds(self, at):
        return self.begins <= at and (self.ends is None or at < self.ends)


@dataclass
class Draft:
    """An open draft: when it was begun among the approvals, and its rows after each step that holds."""

    redraw_id: str
    begun_after: int
    communities: set
    states: list = field(default_factory=list)


@dataclass
class Approved:
    """A redraw in force."""

    redraw_id: str
    communities: set
    at: datetime


def history(uow):
    """Return every row of the table of grids."""
    frame = read_frame(uow.connection, select(*plain_columns(grid_table), wkb(grid_table.c.geom)))
    names = ("name", "kind", "population", "area_m2")
    return [
        Grid(
            row["network"], row["code"], row["parent_code"] if isinstance(row["parent_code"], str) else None,
            row["community_code"], str(row["redraw_id"]), row["households"], tuple(row[name] for name in names), row["geometry"].wkb,
            row["valid_from"], None if pd.isna(row["valid_to"]) else row["valid_to"],
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip


def state_at(rows, at):
    """Return the grids that hold at an instant, by network and code, without their time."""
    held = [row for row in rows if row.holds(at)]
    found = {(row.network, row.code): row._replace(redraw_id="", begins=START, ends=None) for row in held}
    assert len(found) == len(held), f"a code is given twice at {at}"
    return found


def drafted(uow, redraw_id):
    """Return the grids of a draft by network and code, in a form that is equal only when every vertex is."""
    frame = uow.redraws.grids(redraw_id)
    plain = frame.drop(columns="geometry").astype(object).where(lambda f: f.notna(), None)
    keys = zip(frame["network"], frame["code"], strict=True)
    values = ((*row, shape.wkb) for row, shape in zip(plain.to_numpy().tolist(), frame.geometry, strict=True))
    return dict(zip(keys, values, strict=True))


class Redrawing(RuleBasedStateMachine):
    """Random drafts, edits, approvals now and later, and discards; after each the whole history is looked at."""

    def __init__(self, connection):
        super().__init__()
        self.connection = connection
        self.savepoint = connection.begin_nested()
        self.now = START + DAY
        self.open: list[Draft] = []
        self.approved: list[Approved] = []
        with UnitOfWork(connection) as uow:
            metric = to_metric(uow.divisions.list("community", DISTRICT, START).geometry.to_numpy(), EPSG)
            self.whole = shapely.union_all(metric)
            rows = history(uow)
        self.rows = rows
        self.begun_with = {row.redraw_id for row in rows}
        # which redraw a code was given by; codes of drafts count from the moment they are given
        self.given_by = {(row.network, row.code): row.redraw_id for row in rows}
        self.sound: set[frozenset] = set()
        first = state_at(rows, START)
        self.people = Counter()
        for (network, _), row in first.items():
            self.people[network, row.community] += row.households
        self.look_at_every_instant()

    def teardown(self):
        self.savepoint.rollback()

    # ------------------------------------------------------------------ rules

    @precondition(lambda self: len(self.open) < 3)
    @rule(place=PLACES)
    def open_copy(self, place):
        with UnitOfWork(self.connection) as uow:
            redraw_id = draft_copy(uow, place, by="planner", now=self.now)
            uow.commit()
        self.opened(redraw_id, "copy")

    @precondition(lambda self: len(self.open) < 4)
    @rule(place=PLACES, seed=SEEDS)
    def open_automatic(self, place, seed):
        result = self.divide(place, seed, draft=True)
        if result.redraws:
            self.opened(next(iter(result.redraws.values())), "automatic")
        else:
            event("open automatic: nothing to change")
        self.nothing_in_force_changed()

    @rule(network=NETWORK, seed=SEEDS, around=st.booleans(), free=st.booleans())
    def split(self, network, seed, around, free):
        """Split by a line from one side of a grid to another, past its ends: often onto the border of a community."""
        draft, grids, rng = self.to_edit(network, seed)
        code = grids["code"].iloc[int(rng.integers(len(grids)))]
        west, south, east, north = grids.loc[grids["code"] == code].total_bounds
        share = rng.uniform(0.2, 0.8, 2)
        past = 2e-5
        if rng.random() < 0.5:
            line = [(west + share[0] * (east - west), south - past), (west + share[1] * (east - west), north + past)]
        else:
            line = [
                (west - past, south + share[0] * (north - south)),
                (east + past, south + share[1] * (north - south)),
            ]
        options = {"around_buildings": around, "snap_m": 0.0 if free else None}
        self.edit(draft, "split", network, code, line, "cgcs2000", **options)

    @rule(network=NETWORK, seed=SEEDS)
    def merge(self, network, seed):
        draft, grids, rng = self.to_edit(network, seed)
        first = int(rng.integers(len(grids)))
        self.edit(draft, "merge", network, [grids["code"].iloc[i] for i in (first, self.beside(grids, first, rng))])

    @rule(network=NETWORK, seed=SEEDS, around=st.booleans())
    def move_border(self, network, seed, around):
        draft, grids, rng = self.to_edit(network, seed)
        first = int(rng.integers(len(grids)))
        second = self.beside(grids, first, rng)
        border = shapely.line_merge(shapely.intersection(*grids.geometry.iloc[[first, second]]))
        points = shapely.get_coordinates(shapely.segmentize(border, 5e-5))
        if len(points) < 2:
            return
        start, end = points[[0, -1]] if rng.random() < 0.5 else points[np.sort(rng.choice(len(points), 2, False))]
        line = [start, (start + end) / 2 + rng.normal(0, 1e-4, 2), end]
        codes = grids["code"].iloc[[first, second]]
        self.edit(draft, "move_border", network, *codes, line, "cgcs2000", around_buildings=around)

    @rule(seed=SEEDS)
    def move_unit(self, seed):
        draft, units, rng = self.to_edit("urban", seed)
        first = int(rng.integers(len(units)))
        self.edit(
            draft, "move_unit", units["code"].iloc[first], units["parent_code"].iloc[self.beside(units, first, rng)]
        )

    @precondition(lambda self: any(len(draft.states) > 1 for draft in self.open))
    @rule(seed=SEEDS)
    def undo(self, seed):
        edited = [draft for draft in self.open if len(draft.states) > 1]
        draft = edited[seed % len(edited)]
        with UnitOfWork(self.connection) as uow:
            DraftEditor(uow, draft.redraw_id, by="planner", at=self.now).undo()
            uow.commit()
            draft.states.pop()
            assert drafted(uow, draft.redraw_id) == draft.states[-1]
        event("undo: done")
        self.nothing_in_force_changed()

    @rule(place=PLACES, seed=SEEDS)
    def divide_at_once(self, place, seed):
        """Divide and put in force without a draft, unless the same grids change at this instant or later already."""
        self.now += DAY
        if any(a.at >= self.now and any(code.startswith(place) for code in a.communities) for a in self.approved):
            return
        before = self.rows
        result = self.divide(place, seed)
        event(f"divide at once: {'done' if result.redraws else 'nothing to change'}")
        if not result.redraws:
            self.nothing_in_force_changed()
            return
        redraw_id = next(iter(result.redraws.values()))
        with UnitOfWork(self.connection) as uow:
            drawn = drafted(uow, redraw_id)
            done = Approved(redraw_id, set(uow.redraws.get(redraw_id)["community_codes"]), self.now)
        newest = {(row.network, row.code) for row in before if row.ends is None}
        self.give(set(drawn) - newest, redraw_id)
        self.in_force(done, before)

    @precondition(lambda self: self.open)
    @rule(seed=SEEDS, wait=st.sampled_from([0, 1, 3]))
    def approve_now(self, seed, wait):
        self.approve(seed, 0, wait)

    @precondition(lambda self: self.open)
    @rule(seed=SEEDS, days=st.sampled_from([1, 4]), wait=st.sampled_from([0, 2]))
    def approve_for_later(self, seed, days, wait):
        self.approve(seed, days, wait)

    def approve(self, seed, days, wait):
        """Approve a draft now or later; what the platform drafted itself passes, unless somebody else was faster."""
        self.now += wait * DAY
        draft = self.open[seed % len(self.open)]
        at = self.now + days * DAY
        before = self.rows
        is_stale = any(a.communities & draft.communities for a in self.approved[draft.begun_after :])
        is_too_early = any(a.communities & draft.communities and a.at >= at for a in self.approved)
        with UnitOfWork(self.connection) as uow:
            if is_stale or is_too_early:
                with pytest.raises(ConflictError):
                    approve_redraw(uow, draft.redraw_id, by="manager", now=self.now, in_force_from=at)
                event(f"approve: refused, {'stale' if is_stale else 'too early'}")
            else:
                approve_redraw(uow, draft.redraw_id, by="manager", now=self.now, in_force_from=at)
                uow.commit()
        if is_stale or is_too_early:
            self.nothing_in_force_changed()
            return
        event(f"approve: {'later' if days else 'now'}")
        self.open.remove(draft)
        self.in_force(Approved(draft.redraw_id, draft.communities, at), before)

    def in_force(self, done, before):
        """Look at everything after a redraw came in force."""
        self.approved.append(done)
        self.read()
        self.only_its_own_changed(done, before)
        self.lineage_adds_up(done, before)
        self.look_at_every_instant()

    @precondition(lambda self: len(self.open) > 2)
    @rule(seed=SEEDS)
    def discard(self, seed):
        draft = self.open.pop(seed % len(self.open))
        with UnitOfWork(self.connection) as uow:
            discard_redraw(uow, draft.redraw_id, by="manager", now=self.now)
            uow.commit()
        event("discard: done")
        self.nothing_in_force_changed()

    # ------------------------------------------------------------------ steps of the rules

    def divide(self, place, seed, **options):
        """Divide a place by rules that differ, most often, from those before."""
        rng = np.random.default_rng(seed)
        low = int(rng.integers(150, 350))
        rules = DivisionRules(
            unit_area_m2=float(rng.uniform(4_000, 14_000)),
            households_min=low,
            households_max=low + int(rng.integers(150, 400)),
        )
        with UnitOfWork(self.connection) as uow:
            result = divide(uow, place, at=self.now, actor="planner", processes=1, rules=rules, **options)
            assert not result.failed
            uow.commit()
        return result

    def opened(self, redraw_id, how):
        event(f"open: {how}")
        with UnitOfWork(self.connection) as uow:
            communities = set(uow.redraws.get(redraw_id)["community_codes"])
            state = drafted(uow, redraw_id)
        draft = Draft(str(redraw_id), len(self.approved), communities, [state])
        self.open.append(draft)
        newest = {(row.network, row.code) for row in self.rows if row.ends is None}
        self.give(set(state) - newest, draft.redraw_id)
        self.nothing_in_force_changed()

    def to_edit(self, network, seed):
        """Return a draft, one of its networks, and chance; a draft is opened where there is none."""
        rng = np.random.default_rng(seed)
        if not self.open:
            self.open_copy(COMMUNITIES[int(rng.integers(len(COMMUNITIES)))])
        draft = self.open[int(rng.integers(len(self.open)))]
        with UnitOfWork(self.connection) as uow:
            frame = uow.redraws.grids(draft.redraw_id)
        return draft, frame[frame["network"] == network].reset_index(drop=True), rng

    @staticmethod
    def beside(grids, which, rng):
        """Return the position of a grid beside another one, or of any other where there is none."""
        near = np.flatnonzero(shapely.intersects(grids.geometry.to_numpy(), grids.geometry.iloc[which]))
        near = near[near != which]
        return int(rng.choice(near)) if len(near) else int(rng.integers(len(grids)))

    def edit(self, draft, operation, *arguments, **options):
        with UnitOfWork(self.connection) as uow:
            steps = len(list_steps(uow, draft.redraw_id))
        with UnitOfWork(self.connection) as uow:
            try:
                step = getattr(DraftEditor(uow, draft.redraw_id, by="planner", at=self.now), operation)(
                    *arguments, **options
                )
            except GridsvcError as error:
                event(f"{operation}: {type(error).__name__}")
                assert error.hint or error.details
                # what was refused has left nothing behind, also when the caller commits
                uow.commit()
                assert drafted(uow, draft.redraw_id) == draft.states[-1]
                assert len(list_steps(uow, draft.redraw_id)) == steps
                step = None
            else:
                uow.commit()
                draft.states.append(drafted(uow, draft.redraw_id))
        if step is not None:
            event(f"{operation}: done")
            self.give({(grid["network"], grid["code"]) for grid in step.new}, draft.redraw_id)
        self.nothing_in_force_changed()

    def give(self, codes, redraw_id):
        """Note that a redraw gave codes: none of them may have been given before."""
        assert not codes & set(self.given_by), codes & set(self.given_by)
        self.given_by |= dict.fromkeys(codes, redraw_id)

    # ------------------------------------------------------------------ what must hold

    def read(self):
        with UnitOfWork(self.connection) as uow:
            self.rows = history(uow)

    def nothing_in_force_changed(self):
        before = self.rows
        self.read()
        assert Counter(self.rows) == Counter(before)

    def instants(self):
        """Return every instant at which something begins, the moment before each, and the end."""
        begun = sorted({START, *(done.at for done in self.approved)})
        return sorted({at - INSTANT for at in begun[1:]} | {*begun, begun[-1] + DAY})

    def look_at_every_instant(self):
        assert {row.begins for row in self.rows} <= {START, *(done.at for done in self.approved)}
        self.codes_mean_one_grid()
        with UnitOfWork(self.connection) as uow:
            for at in self.instants():
                state = state_at(self.rows, at)
                for network in NETWORKS:
                    listed = uow.grids.list(network, DISTRICT, at)["code"].tolist()
                    assert listed == sorted(code for of, code in state if of == network)
                key = frozenset(state.values())
                if key not in self.sound:
                    self.is_sound(state)
                    self.sound.add(key)

    def is_sound(self, state):
        """Check the grids of one instant: an exact partition of the communities, nested, with everybody in them."""
        shapes = {key: shapely.from_wkb(row.shape) for key, row in state.items()}
        metric = dict(zip(shapes, to_metric(np.array(list(shapes.values()), dtype=object), EPSG), strict=True))
        for network in NETWORKS:
            own = [key for key in state if key[0] == network]
            assert is_exact(np.array([shapes[key] for key in own], dtype=object))
            assert check_partition(self.whole, np.array([metric[key] for key in own], dtype=object)).is_exact
        members: dict[str, list] = {}
        for key, row in state.items():
            if key[0] == "urban":
                members.setdefault(row.parent, []).append(key)
        assert {code for network, code in state if network == "social"} == set(members)
        for code, units in members.items():
            assert {state[key].community for key in units} == {state["social", code].community}
            # of the same vertices on both, the borders of both networks fit at every instant too
            both = [metric["social", code], shapely.coverage_union_all([metric[key] for key in units])]
            assert shapely.equals_exact(
                *shapely.normalize([shapely.MultiPolygon(shapely.get_parts(s).tolist()) for s in both])
            )
            assert sum(state[key].households for key in units) == state["social", code].households
        people = Counter()
        for (network, _), row in state.items():
            people[network, row.community] += row.households
        assert people == self.people

    def codes_mean_one_grid(self):
        """Check that each code holds without a break, and was given by a redraw that was approved."""
        approved = self.begun_with | {done.redraw_id for done in self.approved}
        spans: dict[tuple, list] = {}
        for row in self.rows:
            spans.setdefault((row.network, row.code), []).append(row)
        for key, found in spans.items():
            found.sort(key=lambda row: row.begins)
            assert all(row.ends == following.begins for row, following in itertools.pairwise(found)), key
            assert self.given_by[key] in approved, key
        assert {row.redraw_id for row in self.rows} <= approved

    def only_its_own_changed(self, done, before):
        """Check that the past is as it was to the last bit, and that neighbours gained nothing but vertices."""
        begun = {row.begins for row in (*before, *self.rows)}
        for at in sorted({*begun, *(at - INSTANT for at in begun), done.at - INSTANT}):
            was, now = state_at(before, at), state_at(self.rows, at)
            if at < done.at:
                assert was == now, at
                continue
            mine = {key for key in was if was[key].community in done.communities}
            assert {key for key in now if now[key].community not in done.communities} == set(was) - mine
            changed = [key for key in set(was) - mine if was[key] != now[key]]
            assert all(was[key]._replace(shape=now[key].shape) == now[key] for key in changed)
            for key in changed:
                old, new = to_metric(shapely.from_wkb([was[key].shape, now[key].shape]), EPSG)
                assert shapely.symmetric_difference(old, new).area < _VERTEX_M2_PER_M * old.length

    def lineage_adds_up(self, done, before):
        """Check that shares from every old grid and to every new grid add up to exactly one."""
        with UnitOfWork(self.connection) as uow:
            lineage = uow.lineage.of_redraw(done.redraw_id)
        sides = {"old": state_at(before, done.at - INSTANT), "new": state_at(self.rows, done.at)}
        for side, state in sides.items():
            for network in NETWORKS:
                own = lineage[lineage["network"] == network]
                held = {code for of, code in state if of == network and state[of, code].community in done.communities}
                assert set(own[f"{side}_code"]) == held
                for name in (f"{side}_area_share", f"{side}_household_share"):
                    assert (own[name] >= 0).all()
                    assert all(sum(shares) == 1.0 for _, shares in own.groupby(f"{side}_code")[name])
        for network in NETWORKS:
            moved = lineage.loc[lineage["network"] == network, "households"].sum()
            assert moved == sum(self.people[network, community] for community in done.communities)


@pytest.fixture
def neighbours(connection):
    """Return a connection that sees three neighbouring communities, divided."""
    with UnitOfWork(connection) as uow:
        put_neighbours(uow, START)
        divide(uow, DISTRICT, at=START, actor="start", processes=1)
        uow.commit()
    return connection


def run(connection, examples, steps):
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
    )
    run_state_machine_as_test(partial(Redrawing, connection), settings=chosen)


@pytest.mark.slow
def test_every_instant_is_sound_whatever_is_drafted_approved_and_discarded(neighbours):
    run(neighbours, examples=6, steps=12)


@pytest.mark.slow
def test_every_instant_is_sound_after_long_sequences(neighbours):
    run(neighbours, examples=20, steps=30)
