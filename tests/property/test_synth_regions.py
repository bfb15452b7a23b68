"""Regions grown from blocks: as many as asked, each connected, each with the blocks it needs, whatever the graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gridsvc.errors import PartitionError
from gridsvc.synth.regions import BlockGraph, grow_regions


def lattice(columns: int, rows: int, weight: np.ndarray, *, gap_after: int | None = None) -> BlockGraph:
    """Return blocks on a lattice; with ``gap_after`` two islands with no link between."""
    number = np.arange(columns * rows).reshape(rows, columns)
    links = [
        np.column_stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
        np.column_stack([number[:-1].ravel(), number[1:].ravel()]),
    ]
    link = np.concatenate(links)
    x = np.tile(np.arange(columns), rows)
    if gap_after is not None:
        link = link[(x[link[:, 0]] <= gap_after) == (x[link[:, 1]] <= gap_after)]
    y = np.repeat(np.arange(rows), columns)
    return BlockGraph(weight, np.column_stack([x, y]).astype(float), link[:, 0], link[:, 1], np.ones(len(link)))


def is_connected(graph: BlockGraph, members: np.ndarray) -> bool:
    part = graph.connected().part(members)
    n = len(members)
    adjacency = coo_array((np.ones(len(part.link_a)), (part.link_a, part.link_b)), shape=(n, n))
    return connected_components(adjacency, directed=False)[0] == 1


@settings(max_examples=60, deadline=None)
@given(
    columns=st.integers(2, 9),
    rows=st.integers(2, 9),
    count=st.integers(1, 12),
    islands=st.booleans(),
    empty_share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_every_region_is_there_and_connected(
    columns: int, rows: int, count: int, islands: bool, empty_share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random(columns * rows) < empty_share, 0.0, rng.uniform(1, 30, columns * rows))
    graph = lattice(columns, rows, weight, gap_after=columns // 2 - 1 if islands else None)
    needed = rng.integers(1, 4, count)
    if needed.sum() > columns * rows:
        with pytest.raises(PartitionError):
            grow_regions(graph, needed.astype(float), blocks_needed=needed, seed=seed)
        return
    try:
        region = grow_regions(graph, needed.astype(float), blocks_needed=needed, seed=seed)
    except PartitionError:
        # packing connected regions of given sizes without slack can be impossible
        assert 2 * needed.sum() > columns * rows
        return
    assert (np.bincount(region, minlength=count) >= needed).all()
    assert all(is_connected(graph, np.flatnonzero(region == k)) for k in range(count))


def test_equal_weights_are_shared_about_evenly() -> None:
    graph = lattice(12, 12, np.ones(144))
    region = grow_regions(graph, np.ones(12), seed=3)
    held = np.bincount(region)
    assert held.min() >= 10
    assert held.max() <= 14
