import numpy as np
import pytest
from shapely.geometry import LineString

from gridsvc.circle.attachments import attach_points, end_seconds
from gridsvc.circle.walk_network import build_walk_network


def test_seconds_to_the_ends_are_access_and_share_of_the_edge():
    network = build_walk_network([LineString([(0, 0), (100, 0)])], penalty_s=[40.0])

    to_u, to_v = end_seconds(network, attach_points(network, [(25, 8), (25, 400)]), 2.0)

    assert to_u.tolist() == [pytest.approx(4.0 + 12.5 + 10.0), np.inf]
    assert to_v.tolist() == [pytest.approx(4.0 + 37.5 + 30.0), np.inf]
