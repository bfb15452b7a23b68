"""Washington as gridsvc takes it: real zonings of four networks under codes made up here, since the city has none of ours.

District 990101 is the District of Columbia; streets are its 8 wards, communities its 40 advisory neighbourhood commissions
(the first digit of their name is the ward). Grids: ``urban`` the wards, ``social`` the 296 single-member districts,
``security`` the 56 police service areas. Everything is WGS 84 as published.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

DISTRICT = "990101"
LAYERS = {
    "ward": "ward_2012",
    "anc": "advisory_neighborhood_commission_2013",
    "smd": "single_member_district_2013",
    "psa": "police_service_areas_psa",
}


@dataclass(frozen=True)
class Washington:
    """Files to import, in this order, and what the codes in them mean."""

    divisions: Path
    grids: dict[str, Path]
    names: dict[str, dict[str, str]]
    shapes: dict[str, dict[str, shapely.Geometry]]


def prepare(folder: Path, out: Path) -> Washington:
    """Write the zonings as files of divisions and grids; ``names`` maps our code to theirs, ``shapes`` theirs to the polygon."""
    read = {name: gpd.read_parquet(folder / "networks" / f"{file}.parquet") for name, file in LAYERS.items()}
    own = {
        "ward": read["ward"]["ward"].astype(str),
        "anc": read["anc"]["anc_id"],
        "smd": read["smd"]["smd_id"],
        "psa": read["psa"]["psa"].astype(str),
    }
    shapes = {name: dict(zip(own[name], read[name].geometry, strict=True)) for name in LAYERS}
    streets = {ward: f"{DISTRICT}{int(ward):03d}" for ward in sorted(shapes["ward"])}
    communities = _communities(sorted(shapes["anc"]), streets)
    grids = {
        "urban": {ward: f"{_first_under(communities, streets[ward])}001" for ward in sorted(shapes["ward"])},
        "social": {smd: f"{communities[smd[:2]]}{int(smd[2:]):03d}" for smd in sorted(shapes["smd"])},
        "security": _police(shapes["psa"], shapes["anc"], communities),
    }
    _write_divisions(out / "divisions.geojson", shapes, streets, communities)
    files = {}
    for network, layer in (("urban", "ward"), ("social", "smd"), ("security", "psa")):
        files[network] = out / f"{layer}.geojson"
        frame = gpd.GeoDataFrame(
            {"code": grids[network].values(), "name": list(grids[network])},
            geometry=[shapes[layer][name] for name in grids[network]],
            crs=4326,
        )
        frame.to_file(files[network], COORDINATE_PRECISION=15)
    names = {network: {code: name for name, code in held.items()} for network, held in grids.items()}
    names["community"] = {code: name for name, code in communities.items()}
    return Washington(out / "divisions.geojson", files, names, shapes)


def _communities(names: list[str], streets: dict[str, str]) -> dict[str, str]:
    codes: dict[str, str] = {}
    for name in names:
        street = streets[name[0]]
        codes[name] = f"{street}{sum(code.startswith(street) for code in codes.values()) + 1:03d}"
    return codes


def _first_under(codes: dict[str, str], street: str) -> str:
    return min(code for code in codes.values() if code.startswith(street))


def _police(areas, commissions, communities) -> dict[str, str]:
    """Return a code for each police service area, in the community that holds a point inside it."""
    names = sorted(commissions)
    tree = shapely.STRtree([commissions[name] for name in names])
    codes: dict[str, str] = {}
    for area in sorted(areas):
        point = shapely.point_on_surface(areas[area])
        community = communities[names[int(tree.nearest(point))]]
        codes[area] = f"{community}{sum(code.startswith(community) for code in codes.values()) + 1:03d}"
    return codes


def _write_divisions(path: Path, shapes, streets, communities) -> None:
    rows = [(DISTRICT, "District of Columbia", shapely.union_all(list(shapes["ward"].values())))]
    rows += [(streets[ward], f"Ward {ward}", shapes["ward"][ward]) for ward in sorted(streets)]
    rows += [(communities[name], f"ANC {name}", shapes["anc"][name]) for name in sorted(communities)]
    codes, names, drawn = zip(*rows, strict=True)
    gpd.GeoDataFrame({"code": codes, "name": names}, geometry=list(drawn), crs=4326).to_file(
        path, COORDINATE_PRECISION=15
    )


def recorded(values: pd.Series) -> np.ndarray:
    """Return what the city recorded, None where it recorded nothing (also the text NULL)."""
    return np.array(
        [None if pd.isna(value) or str(value) in ("NULL", "") else str(value) for value in values], dtype=object
    )
