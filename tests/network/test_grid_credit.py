"""The grid of benchmarks/grid_credit.py: who is connected, and where errors diffuse to."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from brian_eprop import EProp, RecurrentNetwork

# an inverse of a matrix of condition number (1 + k)/(1 − k), beside a sum of powers
ROUND_OFF = 1e-12
SHARE = 0.75


@pytest.fixture
def grid(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import grid_credit

    return grid_credit


@pytest.fixture
def places(grid):
    order = np.random.default_rng(0).permutation(grid.N)
    return np.stack(np.divmod(order, grid.SIDE), axis=-1)


def test_an_error_diffuses_to_its_stationary_state(grid, places):
    kernel = grid.diffusion(places, SHARE)
    # by the rule of one step, on the grid itself, from a corner of it
    field, made = np.zeros((10, 10)), np.zeros((10, 10))
    made[0, 0] = 1.0
    corner = np.flatnonzero((places == 0).all(axis=1)).item()
    for _ in range(150):
        near = [np.roll(field, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        field = made + SHARE * np.mean(near, axis=0)
    np.testing.assert_allclose(kernel[:, corner], field[tuple(places.T)], rtol=0, atol=ROUND_OFF)
    np.testing.assert_allclose(kernel.sum(axis=1), 1 / (1 - SHARE), rtol=ROUND_OFF)
    # the nearer the more, also over the border
    apart = grid.around(places[:, np.newaxis] - places, grid.SIDE).max(axis=-1)
    by_distance = np.array([kernel[apart == d].mean() for d in range(6)])
    assert (np.diff(by_distance) < 0).all()
    np.testing.assert_array_equal(grid.diffusion(places, 0.0), np.eye(grid.N))


def test_neighbours_are_connected(grid, places):
    draws = 400
    rngs = (np.random.default_rng(seed) for seed in range(draws))
    share = np.mean([grid.local_synapses(places, rng) for rng in rngs], axis=0)
    assert not share.diagonal().any()
    others = ~np.eye(grid.N, dtype=bool)
    x = places / 9
    apart = grid.around(x[:, np.newaxis] - x, 1)
    squared = (apart**2).sum(axis=-1)
    for distance in (0, 1 / 81, 2 / 81, 4 / 81, 32 / 81):
        chosen = others & np.isclose(squared, distance)
        p = 1 / (1 + np.exp(distance / (4 * 0.012)))
        error = np.sqrt(p * (1 - p) / (draws * chosen.sum()))
        assert share[chosen].mean() == pytest.approx(p, abs=5 * error)
    assert 5 < share.sum(axis=0).mean() < 15


def test_without_diffusion_it_is_symmetric_eprop(grid, places):
    rng = np.random.default_rng(1)
    exist = grid.local_synapses(places, rng)
    readout = grid.sparse(grid.N, 2, rng)
    assert readout.sum() == 20
    weights = {
        "w_in": rng.standard_normal((8, grid.N)) + 0.5,
        "w_rec": 0.3 * rng.standard_normal(exist.shape) * exist,
        "w_out": rng.standard_normal(readout.shape) * readout,
    }
    inputs = rng.random((2, 40, 8)) < 0.2
    targets = np.repeat(np.eye(2)[:, np.newaxis], 40, axis=1)

    def gradients(feedback):
        network = RecurrentNetwork(
            "alif",
            8,
            grid.N,
            2,
            loss="cross_entropy",
            normalize=True,
            weights=weights,
            connectivity={"w_rec": exist, "w_out": readout},
            feedback=feedback,
            rule=EProp(),
        )
        return network.gradients(inputs, targets)

    expected = gradients("symmetric")
    assert expected.spikes.sum() > 100 and abs(expected.w_rec).max() > 0
    alone = gradients(grid.diffused(grid.diffusion(places, 0.0), weights))
    for name in ("w_in", "w_rec", "w_out"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(expected, name))
    # who does not project to the readout learns by diffusion alone, if it comes near its threshold
    spread = gradients(grid.diffused(grid.diffusion(places, SHARE), weights))
    others = ~readout.any(axis=1)
    assert not expected.w_in[:, others].any()
    assert (abs(spread.w_in[:, others]).max(axis=0) > 0).mean() > 0.5
    np.testing.assert_array_equal(spread.w_out, expected.w_out)


def test_pairs_match_or_not(grid):
    task = grid.PairMatch()
    inputs, targets = task.sample(np.random.default_rng(2), 64)
    assert inputs.shape == (64, 550, 80) and task.learning_window == 25
    first, second = (inputs[..., 20 * k : 20 * k + 20].any(axis=(1, 2)) for k in (0, 1))
    np.testing.assert_array_equal(targets[:, -1, 1], first == second)
    assert 0.3 < targets[:, -1, 1].mean() < 0.7
    # each stimulus at its time only
    assert not inputs[:, :25, :40].any()
    assert not inputs[:, 100:, :20].any()
    assert not inputs[:, :450, 20:40].any() and not inputs[:, 525:, 20:40].any()
    assert not inputs[:, :525, 40:60].any() and inputs[:, 525:, 40:60].any(axis=(1, 2)).all()
    assert grid.made_task("cue accumulation").steps == 1025


def test_runs_are_not_repeated(grid, monkeypatch, tmp_path, capsys):
    measured = []

    def found(study):
        measured.append((study.seed, study.task, study.rule))
        return {"right": 0.9, "curve": [0.5, 0.9], "rate": 50.0, "seconds": 1.0}

    monkeypatch.setattr(grid.Study, "measured", found)
    monkeypatch.setattr(grid, "set_device", lambda *args, **options: None)
    results = tmp_path / "results.jsonl"
    command = ["grid_credit.py", "--results", str(results), "--figure", str(tmp_path / "g.png")]
    for seeds, expected in ([["1"], 10], [["1", "2"], 20], [["1", "2"], 20]):
        monkeypatch.setattr(sys, "argv", [*command, "--seeds", *seeds])
        grid.main()
        assert len(measured) == len(set(measured)) == expected
    assert len(results.read_text().splitlines()) == 20
    said = capsys.readouterr().out.splitlines()
    assert len(json.loads(said[-1])["rows"]) == 20
    assert "| order 3 | 90.0 (90.0, 90.0) |  | 90.0 (90.0, 90.0) |  |" in said
