"""Streets of a real place, whatever file they come in."""

import numpy as np
import pytest
import shapely

from gridsvc.services.real_places import read_streets


@pytest.mark.real_data
def test_streets_may_come_from_an_openstreetmap_extract(real_data_dir):
    lines, classes, names, layers = read_streets(real_data_dir / "helsinki" / "centre.osm.pbf", "gcj02")

    assert len(lines) == len(classes) == len(names) == len(layers) > 5000
    assert {"residential", "footway"} <= set(classes)
    # an extract is WGS 84 by definition: a datum named for other files does not move it
    assert np.all((shapely.bounds(lines)[:, 0] > 24.9) & (shapely.bounds(lines)[:, 2] < 25.0))
