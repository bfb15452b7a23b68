"""Real reports of a real city, through the files a user has: import the zonings, locate the points, compare with the record.

The causes of every disagreement are counted here and told in docs/how-to/locate.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import shapely
from factories.stored_town import START
from factories.washington import DISTRICT, prepare, recorded

from gridsvc.geo.projections import to_metric
from gridsvc.services.importing import import_file
from gridsvc.services.locating import locate_point
from gridsvc.services.locating_files import locate_file
from gridsvc.store.engine import make_engine
from gridsvc.store.unit_of_work import UnitOfWork

pytestmark = [pytest.mark.postgis, pytest.mark.real_data]

UTM_18N = 32618
REQUESTS, CRIMES = "service_requests_2016.parquet", "crime_incidents_2016.parquet"


@pytest.fixture(scope="module")
def folder(real_data_dir):
    return real_data_dir / "washington_dc"


@pytest.fixture(scope="module")
def imported(postgis_server, template_database, folder, tmp_path_factory):
    """Washington, imported once since no test here commits: what its codes mean, and an engine of its database."""
    name = f"{template_database}_washington"
    engine = make_engine(postgis_server.create(name, template_database))
    made = prepare(folder, tmp_path_factory.mktemp("washington"))
    with UnitOfWork(engine) as uow:
        import_file(uow, "divisions", made.divisions, datum="wgs84", valid_from=START)
        for network, path in made.grids.items():
            import_file(uow, "grids", path, datum="wgs84", valid_from=START, network=network)
        uow.commit()
    yield made, engine
    engine.dispose()
    postgis_server.drop(name)


@pytest.fixture
def city(imported):
    """Return what the codes of Washington mean."""
    return imported[0]


@pytest.fixture
def connection(imported):
    """A connection to Washington, in a transaction that is rolled back."""
    with imported[1].connect() as opened:
        transaction = opened.begin()
        yield opened
        transaction.rollback()


def located(uow, city, path, tmp_path) -> dict[str, np.ndarray]:
    """Return their name of the ward, ANC, SMD and PSA of every point of a file."""
    out = tmp_path / "located.parquet"
    locate_file(uow, path, out, datum="wgs84", at=START, mapping={"geom_lon": "lon", "geom_lat": "lat"})
    frame = pd.read_parquet(out)
    columns = {"ward": "urban_grid", "anc": "community_code", "smd": "social_grid", "psa": "security_grid"}
    layers = {"ward": "urban", "anc": "community", "smd": "social", "psa": "security"}
    return {
        name: np.array([city.names[layers[name]].get(code) for code in frame[column]], dtype=object)
        for name, column in columns.items()
    }


def off_the_recorded(city, layer, frame, said, found) -> pd.Series:
    """Return how far each point whose polygon is another than the recorded one lies from that; unit m."""
    rows = np.flatnonzero((said != None) & (said != found))  # noqa: E711 - elementwise
    points = to_metric(shapely.points(frame["geom_lon"].to_numpy()[rows], frame["geom_lat"].to_numpy()[rows]), UTM_18N)
    drawn = {name: to_metric([shape], UTM_18N)[0] for name, shape in city.shapes[layer].items()}
    return pd.Series([float(shapely.distance(point, drawn[said[row]])) for point, row in zip(points, rows, strict=True)], index=rows)  # fmt: skip


def test_wards_of_service_requests_agree_with_the_record(uow, city, folder, tmp_path):
    requests = pd.read_parquet(folder / REQUESTS)
    found = located(uow, city, folder / REQUESTS, tmp_path)
    said = recorded(requests["ward"])

    assert len(requests) == 22_576
    for layer in ("ward", "anc", "smd", "psa"):
        assert all(name is not None for name in found[layer]), layer
    agree = found["ward"] == said
    assert agree.mean() >= 0.9917
    unrecorded = said == None  # noqa: E711 - elementwise
    assert unrecorded.sum() == 149
    assert agree[~unrecorded].mean() >= 0.9983
    # whatever disagrees is a crossing in the street that is the border itself: nearer than a millimetre to the ward recorded
    distances = off_the_recorded(city, "ward", requests, said, found["ward"])
    assert 0 < len(distances) <= 40
    assert distances.max() < 0.001


def test_a_single_member_district_lies_in_its_commission(uow, city, folder, tmp_path):
    found = located(uow, city, folder / REQUESTS, tmp_path)
    requests = pd.read_parquet(folder / REQUESTS)

    nests = np.array([smd[:2] == anc for smd, anc in zip(found["smd"], found["anc"], strict=True)])
    commissions = np.array([smd[:2] for smd in found["smd"]], dtype=object)

    assert nests.mean() > 0.998
    distances = off_the_recorded(city, "anc", requests, commissions, found["anc"])
    assert distances.max() < 0.001


def test_crimes_agree_with_the_record_in_three_zonings(uow, city, folder, tmp_path):
    crimes = pd.read_parquet(folder / CRIMES)
    found = located(uow, city, folder / CRIMES, tmp_path)

    shares = {layer: (found[layer] == recorded(crimes[layer])).mean() for layer in ("anc", "ward", "psa")}

    assert shares["anc"] == 1.0
    assert shares["ward"] >= 0.9979
    assert shares["psa"] >= 0.9558
    off_ward = off_the_recorded(city, "ward", crimes, recorded(crimes["ward"]), found["ward"])
    assert len(off_ward) == 6 and off_ward.max() < 0.5
    off_psa = off_the_recorded(city, "psa", crimes, recorded(crimes["psa"]), found["psa"])
    # service areas were redrawn after these records: most differ by the width of a street, some by whole blocks
    assert (off_psa < 10).mean() > 0.85 and off_psa.max() > 100


def test_metres_and_areas_of_a_city_outside_of_china_are_right(uow, city, folder):
    wards = uow.grids.list("urban", DISTRICT, START)
    published = {row["name"]: row["shape_area"] for row in pd.read_parquet(folder / "networks" / "ward_2012.parquet").assign(name=lambda frame: frame["ward"].astype(str)).to_dict("records")}  # fmt: skip

    # UTM stretches by 0.04 %, the state plane of the record hardly
    for name, area in zip(wards["name"], wards["area_m2"], strict=True):
        assert area == pytest.approx(published[name], rel=1e-3)
    place = shapely.point_on_surface(wards.geometry.iloc[0])
    answer = locate_point(uow, place.x, place.y, "wgs84", at=START)
    border = shapely.boundary(to_metric([wards.geometry.iloc[0]], UTM_18N)[0])
    urban = next(grid for grid in answer.grids if grid.network == "urban")
    assert urban.distance_to_border_m == pytest.approx(border.distance(to_metric([place], UTM_18N)[0]), rel=1e-3)
