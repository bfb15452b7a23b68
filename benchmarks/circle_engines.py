"""The same walks in four engines on real networks: gridsvc, networkx on the split graph, pgRouting, and pandana, which snaps to nodes.

Porto Alegre (OSM extract, walking penalties counted) and Wuhan (92,667 streets, no motorways) of GRIDSVC_REAL_DATA. Residences and
facilities lie at random along the streets, up to 30 m off them; every residence is asked about all facilities within 1,500 m, until
``--pairs`` are answered. networkx gets every door as a node of its own on its edge; pgRouting gets edges and doors as points on edges
(pgr_withPointsCost, Debian package postgresql-15-pgrouting), so it splits by itself; pandana gets nodes and edges only, as it
takes them, and the straight way to its node is added at the same speed.

    GRIDSVC_REAL_DATA=... python benchmarks/circle_engines.py [--pairs 10000]
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import psycopg
import shapely
from scipy.spatial import cKDTree

sys.path.insert(0, str(Path(__file__).resolve().parent))
from _measuring import goal, table

from gridsvc.circle.attachments import Attachments, attach_points
from gridsvc.circle.travel_times import PLANNING_SPEED_M_S, CompiledWalk, time_matrix
from gridsvc.circle.walk_network import WalkNetwork, build_walk_network, edge_seconds
from gridsvc.circle.walk_rules import passage_seconds
from gridsvc.formats.osm import read_osm
from gridsvc.geo.projections import to_metric, zone_of
from gridsvc.services.walk_networks import walk_penalties
from gridsvc.settings import read_settings
from gridsvc.store.embedded import EmbeddedPostgres, libpq_url

SPEED = PLANNING_SPEED_M_S
LIMIT_S = 3600.0  # so that nearly every pair is in reach
NEAR_M = 1500.0
FACILITIES = 2000


class Walks:
    """A real network with doors along its streets, and the pairs asked about: numbers of a residence and a facility."""

    def __init__(self, network: WalkNetwork, pairs: int, seed: int = 1) -> None:
        self.network = network
        self.seconds = edge_seconds(network, SPEED)
        rng = np.random.default_rng(seed)
        homes, places = self._beside_streets(rng, pairs), self._beside_streets(rng, FACILITIES)
        self.home_xy, self.place_xy = homes, places
        self.homes, self.places = attach_points(network, homes), attach_points(network, places)
        near = cKDTree(places).query_ball_point(homes, NEAR_M)
        asked = [(h, f) for h, found in enumerate(near) for f in sorted(found)[:20]]
        self.pairs = np.array(asked[:pairs], dtype=np.int64)

    def _beside_streets(self, rng: np.random.Generator, count: int) -> np.ndarray:
        edge = rng.integers(0, len(self.network.edge_u), count)
        points = shapely.line_interpolate_point(
            self.network.edge_lines[edge], rng.uniform(0, 1, count), normalized=True
        )
        return shapely.get_coordinates(points) + rng.uniform(-20, 20, (count, 2))

    def by_home(self) -> dict[int, list[int]]:
        """Return the places in ``pairs`` of each residence."""
        rows: dict[int, list[int]] = defaultdict(list)
        for row, home in enumerate(self.pairs[:, 0].tolist()):
            rows[home].append(row)
        return rows


def part(attached: Attachments, rows: list[int] | np.ndarray) -> Attachments:
    """Return some of several attached points."""
    names = ("edge", "access_m", "offset_m", "to_u_m", "to_v_m")
    return Attachments(*(getattr(attached, name)[rows] for name in names))


def share_of(network: WalkNetwork, attached: Attachments) -> np.ndarray:
    """Return how far along its edge each point is, 0 to 1."""
    return np.clip(attached.offset_m / network.edge_length_m[attached.edge], 0.0, 1.0)


def by_gridsvc(walks: Walks) -> np.ndarray:
    """Return the seconds of all pairs."""
    walk = CompiledWalk(walks.network, SPEED, LIMIT_S)
    answer = np.empty(len(walks.pairs))
    for home, rows in walks.by_home().items():
        answer[rows] = time_matrix(walk, part(walks.homes, [home]), part(walks.places, walks.pairs[rows, 1]))[0]
    return answer


def by_networkx(walks: Walks) -> np.ndarray:
    """Return the seconds of all pairs over a graph in which every door is a node on its edge."""
    import networkx

    graph = networkx.Graph()
    stops: dict[int, list[tuple[float, str, float]]] = defaultdict(list)
    for letter, attached in (("h", walks.homes), ("f", walks.places)):
        for number, (edge, share) in enumerate(zip(attached.edge, share_of(walks.network, attached), strict=True)):
            stops[int(edge)].append((float(share), f"{letter}{number}", float(attached.access_m[number]) / SPEED))
    ends = zip(walks.network.edge_u.tolist(), walks.network.edge_v.tolist(), walks.seconds.tolist(), strict=True)

    def join(a: object, b: object, seconds: float) -> None:
        if not graph.has_edge(a, b) or seconds < graph[a][b]["weight"]:
            graph.add_edge(a, b, weight=seconds)

    for edge, (u, v, seconds) in enumerate(ends):
        before: tuple[float, object] = (0.0, u)
        for share, name, access_s in sorted(stops.get(edge, ())):
            join(before[1], f"{name}*", (share - before[0]) * seconds)
            join(f"{name}*", name, access_s)
            before = (share, f"{name}*")
        join(before[1], v, (1.0 - before[0]) * seconds)
    answer = np.full(len(walks.pairs), np.inf)
    for home, rows in walks.by_home().items():
        reach = networkx.single_source_dijkstra_path_length(graph, f"h{home}", cutoff=LIMIT_S)
        answer[rows] = [reach.get(f"f{facility}", np.inf) for facility in walks.pairs[rows, 1].tolist()]
    return answer


def by_pgrouting(walks: Walks, connection: psycopg.Connection) -> np.ndarray:
    """Return the seconds of all pairs by pgr_withPointsCost, which is told edges, and doors as points on them.

    It finds no way to points at the very ends of edges; doors that are there are told as nodes.
    """
    connection.execute("CREATE EXTENSION IF NOT EXISTS pgrouting CASCADE")
    connection.execute("DROP TABLE IF EXISTS walk_edges, walk_points")
    connection.execute(
        "CREATE TABLE walk_edges (id bigint, source bigint, target bigint, cost float8, reverse_cost float8)"
    )
    connection.execute("CREATE TABLE walk_points (pid bigint, edge_id bigint, fraction float8, side char)")
    network = walks.network
    with connection.cursor() as cursor, cursor.copy("COPY walk_edges FROM STDIN") as copy:
        rows = zip(network.edge_u.tolist(), network.edge_v.tolist(), walks.seconds.tolist(), strict=True)
        for number, (u, v, seconds) in enumerate(rows):
            copy.write_row((number, u + 1, v + 1, seconds, seconds))
    home = _told(walks, walks.homes, 1, connection)
    place = _told(walks, walks.places, 1 + len(walks.homes.edge), connection)
    answer = np.full(len(walks.pairs), np.inf)
    asked = list(walks.by_home().items())
    for begin in range(0, len(asked), 50):  # one call for some residences: every call builds its graph anew
        rows = [row for _, of_home in asked[begin : begin + 50] for row in of_home]
        starts, ends = np.unique(home[walks.pairs[rows, 0]]), np.unique(place[walks.pairs[rows, 1]])
        points = ",".join(str(-pid) for pid in (*starts, *ends) if pid < 0)
        found = connection.execute(
            "SELECT start_pid, end_pid, agg_cost FROM pgr_withPointsCost("
            "'SELECT id, source, target, cost, reverse_cost FROM walk_edges',"
            " %s, %s::bigint[], %s::bigint[], directed => false)",
            (
                f"SELECT pid, edge_id, fraction, side FROM walk_points WHERE pid = ANY(ARRAY[{points}]::bigint[])",
                starts.tolist(),
                ends.tolist(),
            ),
        ).fetchall()
        cost = {(start, end): seconds for start, end, seconds in found}
        for row in rows:
            h, f = walks.pairs[row].tolist()
            way = 0.0 if home[h] == place[f] else cost.get((home[h], place[f]), np.inf)
            answer[row] = way + (walks.homes.access_m[h] + walks.places.access_m[f]) / SPEED
    return answer


def _told(walks: Walks, attached: Attachments, first: int, connection: psycopg.Connection) -> np.ndarray:
    """Store doors as points on edges, numbered from ``first``; return the numbers pgRouting knows them by: -point, or node."""
    shares, network = share_of(walks.network, attached), walks.network
    with connection.cursor() as cursor, cursor.copy("COPY walk_points FROM STDIN") as copy:
        for number, (edge, share) in enumerate(zip(attached.edge.tolist(), shares.tolist(), strict=True), start=first):
            if 0.0 < share < 1.0:
                copy.write_row((number, edge, share, "b"))
    point = -np.arange(first, first + len(shares))
    node = np.where(shares <= 0.0, network.edge_u[attached.edge], network.edge_v[attached.edge]) + 1
    return np.where((shares > 0.0) & (shares < 1.0), point, node)


def by_pandana(walks: Walks) -> np.ndarray:
    """Return the seconds of all pairs between the nodes nearest to their doors, and the straight ways to those nodes."""
    import pandana

    nodes = pd.DataFrame(walks.network.node_xy, columns=["x", "y"])
    edges = pd.DataFrame({"u": walks.network.edge_u, "v": walks.network.edge_v, "s": walks.seconds})
    net = pandana.Network(nodes["x"], nodes["y"], edges["u"], edges["v"], edges[["s"]])
    home = np.asarray(net.get_node_ids(walks.home_xy[:, 0], walks.home_xy[:, 1]))
    place = np.asarray(net.get_node_ids(walks.place_xy[:, 0], walks.place_xy[:, 1]))
    h, f = walks.pairs.T
    legs = np.hypot(*(walks.home_xy[h] - walks.network.node_xy[home[h]]).T)
    legs += np.hypot(*(walks.place_xy[f] - walks.network.node_xy[place[f]]).T)
    way = np.asarray(net.shortest_path_lengths(home[h], place[f]))
    return np.where(way < 1e6, way, np.inf) + legs / SPEED


def differences(name: str, ours: np.ndarray, theirs: np.ndarray) -> tuple[list[str], float]:
    """Return a row about two engines' times of the same pairs, and the greatest difference (infinite: reached by one only)."""
    both = np.isfinite(ours) & np.isfinite(theirs)
    one_only = int(((np.isfinite(ours) != np.isfinite(theirs)) & (np.minimum(ours, theirs) < LIMIT_S - 1.0)).sum())
    apart = np.abs(ours[both] - theirs[both])
    p50, p95 = np.percentile(apart, [50, 95])
    row = [name, f"{both.sum():,}", str(one_only), f"{p50:.6f}", f"{p95:.6f}", f"{apart.max():.6f}"]
    return row, np.inf if one_only else float(apart.max())


def networks(folder: Path) -> dict[str, WalkNetwork]:
    """Return the real networks."""
    streets = read_osm(folder / "porto_alegre" / "walk_osm.pbf").streets
    streets = streets[streets["is_walkable"].astype(bool)]
    lines = streets["geometry"].to_numpy()
    waits = passage_seconds(streets["passage"].to_numpy(object), streets["passage_share"], walk_penalties())
    wuhan = gpd.read_parquet(folder / "wuhan" / "streets_osm.parquet")
    drawn = wuhan.geometry.to_numpy()
    return {
        "Porto Alegre": build_walk_network(
            to_metric(lines, zone_of(lines)), layer=streets["layer"].to_numpy(), penalty_s=waits
        ),
        "Wuhan": build_walk_network(
            to_metric(drawn, zone_of(drawn)), wuhan["highway"].astype(str).tolist(), trunk_walkable=True
        ),
    }


def main() -> None:
    """Ask all engines and print how far they are apart."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    options = parser.parse_args()
    folder = read_settings().real_data_dir
    if folder is None:
        sys.exit("GRIDSVC_REAL_DATA names no folder.")
    with tempfile.TemporaryDirectory(prefix="gridsvc-bench-") as made:
        Path(made).chmod(0o755)
        with EmbeddedPostgres(Path(made)) as server, psycopg.connect(libpq_url(server.url())) as connection:
            for name, network in networks(folder).items():
                walks = Walks(network, options.pairs)
                ours = by_gridsvc(walks)
                print(
                    f"{name}: {len(network.node_xy):,} nodes, {len(network.edge_u):,} edges, {len(walks.pairs):,} pairs, median"
                    f" walk {np.median(ours[np.isfinite(ours)]):.0f} s, {int((~np.isfinite(ours)).sum())} beyond an hour"
                )
                peers = {
                    "networkx, split graph": by_networkx(walks),
                    "pgRouting, points on edges": by_pgrouting(walks, connection),
                }
                if importlib.util.find_spec("pandana"):
                    peers["pandana, nearest nodes"] = by_pandana(walks)
                rows, worst = zip(*(differences(peer, ours, times) for peer, times in peers.items()), strict=True)
                print(table(["s apart", "pairs", "one only", "median", "95 %", "greatest"], list(rows)))
                print(goal("0.1 s over difference from networkx", 0.1 / max(worst[0], 1e-12), 1.0, "{:,.0f}"))
                print(goal("1 s over difference from pgRouting", 1.0 / max(worst[1], 1e-12), 1.0, "{:,.0f}"))


if __name__ == "__main__":
    main()
