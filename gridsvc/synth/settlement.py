"""What stands in one community: land use of its parcels, compounds, households. Projected CRS, unit m."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray

from gridsvc.synth.compounds import DOOR_M, STYLES, Compound, StreetSide, lay_out
from gridsvc.synth.street_network import NO_WALK, main_networks

Floats = NDArray[np.float64]
Geometries = NDArray[np.object_]

# half of carriageway and pavement together, by OpenStreetMap highway value; our choice
HALF_WIDTH_M = {
    "motorway": 17.0,
    "trunk": 17.0,
    "primary": 14.0,
    "secondary": 11.0,
    "tertiary": 8.0,
    "residential": 5.0,
    "service": 3.0,
}
STREET_CLEAR_M = 3.0
BORDER_CLEAR_M = 4.0
SMALLEST_PARCEL_M2 = 420.0
LEAST_HOUSEHOLDS, MOST_HOUSEHOLDS = 1050, 2950
MOST_FLOORS = 33
HOUSEHOLDS_PER_STAIR = 2
SMALL_BOX_M = 8.0
FULL_SHARE = 2.0  # homes for twice the households are enough
STYLES_LIVED_IN = {name: style.use == "residential" for name, style in STYLES.items()}
LONE_HOUSE_REACH_M = 600.0


def half_width_m(street_class: str) -> float:
    """Return half the width of a street of an OpenStreetMap class; links are like their streets, unknown ones 5 m."""
    return HALF_WIDTH_M.get(street_class.removesuffix("_link"), 5.0)


@dataclass(slots=True)
class StreetNet:
    """The streets of the district, ready for look-ups."""

    lines: Geometries
    street_class: list[str]
    layer: NDArray[np.int64]
    band: Geometries = field(init=False)
    tree: shapely.STRtree = field(init=False)
    can_enter: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        reach = np.array([half_width_m(c) + STREET_CLEAR_M for c in self.street_class])
        self.band = shapely.buffer(self.lines, reach, quad_segs=2)
        self.tree = shapely.STRtree(self.lines)
        walkable = np.array([c not in NO_WALK for c in self.street_class], dtype=bool)
        self.can_enter = main_networks(self.lines, walkable) & (self.layer == 0)

    def near(self, block: shapely.Polygon, distance_m: float) -> NDArray[np.int64]:
        """Return the numbers of the streets within ``distance_m`` of a block."""
        return np.sort(self.tree.query(block, predicate="dwithin", distance=distance_m))


@dataclass(slots=True)
class Settlement:
    """The buildings of one community and what goes with them; one entry per building unless said otherwise."""

    buildings: list[shapely.Polygon] = field(default_factory=list)
    doors: list[tuple[float, float]] = field(default_factory=list)
    use: list[str] = field(default_factory=list)
    compound: list[int] = field(default_factory=list)
    per_floor: list[float] = field(default_factory=list)
    usual_floors: list[float] = field(default_factory=list)
    households: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    population: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    floors: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    paths: list[Floats] = field(default_factory=list)
    hits: list[tuple[int, float, float]] = field(default_factory=list)
    walls: list[shapely.LineString] = field(default_factory=list)


def parcels_of(block: shapely.Polygon, net: StreetNet, obstacles: shapely.STRtree) -> list[shapely.Polygon]:
    """Return the parts of a block one can build on, largest first.

    Clear of streets by half their width and `STREET_CLEAR_M`, of the block's border by `BORDER_CLEAR_M`, of the
    ``obstacles`` (water, railway land, open land).
    """
    near = net.near(block, 21.0)
    taken = list(net.band[near]) + [
        obstacles.geometries[i] for i in np.sort(obstacles.query(block, predicate="intersects"))
    ]
    room = block.buffer(-BORDER_CLEAR_M, join_style="mitre", mitre_limit=2.0)
    if taken:
        room = room.difference(shapely.union_all(taken))
    # opening removes necks too narrow for a house
    room = (
        room.buffer(-5.0, join_style="mitre", mitre_limit=2.0)
        .buffer(5.0, join_style="mitre", mitre_limit=2.0)
        .simplify(0.3)
    )
    parts = [
        part for part in shapely.get_parts(room) if shapely.get_type_id(part) == 3 and part.area >= SMALLEST_PARCEL_M2
    ]
    parts = [shapely.normalize(part) for part in parts if part.is_valid]
    return sorted(parts, key=lambda part: (-round(part.area), part.bounds))


def build_community(
    blocks: list[shapely.Polygon],
    is_open: list[bool],
    net: StreetNet,
    obstacles: shapely.STRtree,
    *,
    age: float,
    households: float,
    rng: np.random.Generator,
) -> Settlement:
    """Return what stands on the blocks of one community.

    Parameters
    ----------
    is_open
        Per block, whether it stays free of buildings (park, water).
    age
        0 in the new outskirts to 1 in the old centre: decides between towers, slabs and old houses.
    households
        How many the community should have, about; kept within what its houses can hold at `MOST_FLOORS`.
    """
    parcels = [
        (parcel, block)
        for block, free in zip(blocks, is_open, strict=True)
        if not free
        for parcel in parcels_of(block, net, obstacles)
    ]
    parcels.sort(key=lambda pair: (-round(pair[0].area), pair[0].bounds))
    made = Settlement()
    for rank, (parcel, block) in enumerate(parcels):
        style = _style_name(rank, parcel.area, age, rng)
        # a community of much land has fields and greens, not empty houses
        is_full = _usual_homes(made) > FULL_SHARE * households
        _build_parcel(made, parcel, block, net, "green" if is_full and STYLES_LIVED_IN.get(style) else style, rng)
    for denser in ("high_slab", "old"):
        if _capacity(made) >= LEAST_HOUSEHOLDS:
            break
        # too few homes for a community: build on everything, homes only
        other = Settlement()
        for parcel, block in parcels:
            if _capacity(other) < 3 * MOST_HOUSEHOLDS:
                _build_parcel(other, parcel, block, net, denser, rng)
        made = max(made, other, key=_capacity)
    if "residential" not in made.use:
        _lone_house(made, parcels, blocks, net, obstacles)
    _settle(made, households, rng)
    return made


def _usual_homes(made: Settlement) -> float:
    """Return how many households the homes hold at their usual floors."""
    return sum(
        n * f for n, f, use in zip(made.per_floor, made.usual_floors, made.use, strict=True) if use == "residential"
    )


def _capacity(made: Settlement) -> float:
    """Return the most households the homes can hold."""
    return sum(n for n, use in zip(made.per_floor, made.use, strict=True) if use == "residential") * MOST_FLOORS


def _style_name(rank: int, area_m2: float, age: float, rng: np.random.Generator) -> str:
    """Return the style of a parcel; the largest parcel of a community is always lived in."""
    pick = rng.random()
    if rank > 0:
        for name, share, least, most in (
            ("commercial", 0.09, 1500, 60_000),
            ("school", 0.07, 9000, 60_000),
            ("public", 0.05, 1500, 30_000),
            ("green", 0.06, 0, 30_000),
            ("industrial", 0.05 * (1 - age), 12_000, 200_000),
        ):
            if pick < share:
                return name if least <= area_m2 <= most else "slab"
            pick -= share
    kind = rng.random()
    if kind < 0.55 * max(0.0, age - 0.35) / 0.65 and area_m2 < 45_000:
        return "old"
    if kind > 0.80:
        return "tower"
    return "high_slab" if kind > 0.62 else "slab"


def _build_parcel(
    made: Settlement,
    parcel: shapely.Polygon,
    block: shapely.Polygon,
    net: StreetNet,
    style_name: str,
    rng: np.random.Generator,
) -> None:
    if style_name == "green":
        return
    style = STYLES[style_name]
    near = net.near(block, 0.05)
    near = near[net.can_enter[near]]
    side = StreetSide(block.buffer(0.6), net.lines[near], near)
    busy = any(net.street_class[i] in ("primary", "secondary", "tertiary", "trunk") for i in near)
    shops = style.use == "residential" and busy and parcel.area > 5000
    if style.use == "residential" and style.has_wall:
        shapely.prepare(side.block)
    compound = lay_out(parcel, style, side, rng, shops=shops)
    if len(compound.buildings) == 0 and style_name != "old":
        style = STYLES["old"]
        compound = lay_out(parcel, style, side, rng, shops=False)
    _add(made, compound, style.stair_m, style.floors)


def _add(made: Settlement, compound: Compound, stair_m: float, floors: float) -> None:
    number = max(made.compound, default=-1) + 1
    made.buildings += list(compound.buildings)
    made.doors += [(float(x), float(y)) for x, y in compound.doors]
    made.use += compound.uses
    made.compound += [number] * len(compound.buildings)
    stairs = np.maximum(1.0, np.round(compound.length_m / stair_m))
    made.per_floor += (stairs * HOUSEHOLDS_PER_STAIR).tolist()
    made.usual_floors += [floors if use != "commercial" or floors > 6 else 2.0 for use in compound.uses]
    if len(compound.paths):
        made.paths.append(compound.paths)
    made.hits += compound.hits
    made.walls += compound.walls


def _lone_house(
    made: Settlement,
    parcels: list[tuple[shapely.Polygon, shapely.Polygon]],
    blocks: list[shapely.Polygon],
    net: StreetNet,
    obstacles: shapely.STRtree,
) -> None:
    """Put one house where nothing else fits, so that the community is not empty; none when there is no room at all."""
    room = parcels[0][0] if parcels else max(blocks, key=lambda b: b.area)
    if not parcels:
        taken = [net.band[i] for i in net.near(room, 21.0)] + [obstacles.geometries[i] for i in obstacles.query(room)]
        room = room.buffer(-BORDER_CLEAR_M).difference(shapely.union_all(taken))
        room = max(shapely.get_parts(room), key=lambda part: part.area, default=shapely.Polygon())
    if room.is_empty:
        return
    circle = shapely.maximum_inscribed_circle(room, tolerance=0.5)
    x, y = shapely.get_coordinates(circle)[0]
    half = min(SMALL_BOX_M, circle.length / 1.5)
    if half < 2.5:
        return
    house = Compound(
        buildings=np.array([shapely.box(x - half, y - half, x + half, y + half)], dtype=object),
        doors=np.array([[x, y + half + DOOR_M]]),
        uses=["residential"],
        length_m=np.array([2 * half]),
    )
    near = net.near(shapely.Point(x, y), LONE_HOUSE_REACH_M)
    near = near[net.can_enter[near]]
    if len(near):
        number = near[int(np.argmin(shapely.distance(net.lines[near], shapely.Point(x, y))))]
        way = shapely.get_coordinates(shapely.shortest_line(shapely.Point(x, y), net.lines[number]))[1] - (x, y)
        # the door looks towards the street, outside of the house's corners
        door = np.array([x, y]) + way / np.hypot(*way) * (half * 1.42 + DOOR_M)
        end = shapely.get_coordinates(shapely.shortest_line(shapely.Point(door), net.lines[number]))[1]
        house.doors = door.reshape(1, 2)
        house.paths = np.array([[*door, *end]])
        house.hits = [(int(number), float(end[0]), float(end[1]))]
    _add(made, house, 8.0, 6.0)


def _settle(made: Settlement, households: float, rng: np.random.Generator) -> None:
    """Share the households out over the homes and set floors and people."""
    count = len(made.buildings)
    home = np.array([use == "residential" for use in made.use], dtype=bool)
    per_floor, usual = np.array(made.per_floor), np.array(made.usual_floors)
    capacity = per_floor * MOST_FLOORS * home
    weight = per_floor * usual * home * rng.uniform(0.9, 1.1, count)
    total = int(np.clip(households, LEAST_HOUSEHOLDS, MOST_HOUSEHOLDS))
    made.households = _shared_out(min(total, int(capacity.sum())), weight, capacity)
    made.floors = np.where(
        home,
        np.clip(np.ceil(made.households / np.maximum(per_floor, 1)), 1, MOST_FLOORS),
        np.maximum(1, np.round(usual * rng.uniform(0.5, 1.3, count))),
    ).astype(np.int64)
    size = rng.normal(2.55, 0.18, count)
    made.population = np.round(made.households * np.clip(size, 2.0, 3.2)).astype(np.int64)


def _shared_out(total: int, weight: Floats, capacity: Floats) -> NDArray[np.int64]:
    """Return whole shares of ``total`` by ``weight``, none over its capacity; they sum to ``total``."""
    share = np.zeros(len(weight))
    if total <= 0 or weight.sum() == 0:
        return share.astype(np.int64)
    free = weight > 0
    left = float(total)
    for _ in range(20):
        add = np.where(free, weight, 0.0)
        if left < 1e-6 or add.sum() == 0:
            break
        share = np.minimum(share + left * add / add.sum(), capacity)
        left = total - share.sum()
        free = share < capacity - 1e-9
    whole = np.floor(share + 1e-9)
    rest = round(total - whole.sum())
    order = np.lexsort((np.arange(len(share)), -(share - whole)))
    room = [i for i in order if whole[i] < capacity[i]]
    for i in room[:rest]:
        whole[i] += 1
    return whole.astype(np.int64)
