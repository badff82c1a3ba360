"""The film of learning: what it shows, and that it is written whole or not at all."""

import numpy as np
import pytest
from PIL import Image

from brian_eprop import Adam, RecurrentNetwork
from brian_eprop.plotting import LearningAnimation, animation
from brian_eprop.plotting.animation import WRITERS

INPUTS = np.random.default_rng(0).random((60, 8)) < 0.1
TARGETS = np.sin(np.arange(60) / 10)[:, np.newaxis]


class Task:
    def sample(self, rng, batch):
        return INPUTS[np.newaxis], TARGETS[np.newaxis]


@pytest.fixture
def network(numpy_target):
    return RecurrentNetwork("alif", 8, 6, 1, optimizer=Adam(1e-2), seed=1)


@pytest.mark.slow
def test_a_film_shows_every_other_state_of_the_network(network, tmp_path):
    film = LearningAnimation(tmp_path / "film.gif", network, INPUTS, TARGETS, every=2, neurons=2)
    start = network.weights["w_in"].copy()
    network.fit(Task(), 4, callbacks=[film], seed=1)
    assert [frame.entries for frame in film.frames] == [0, 2, 4]
    np.testing.assert_array_equal(film.frames[0].weights["w_in"], start)
    np.testing.assert_array_equal(film.frames[2].weights["w_in"], network.weights["w_in"])
    assert np.any(film.frames[1].weights["w_in"] != film.frames[2].weights["w_in"])
    first, last = film.frames[0].recording, film.frames[2].recording
    assert first.spikes.any() and first.e_bar.any()
    assert list(first.neurons) == list(last.neurons) and first.synapses == last.synapses
    film.save()
    assert [path.name for path in tmp_path.iterdir()] == ["film.gif"]
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 3 and image.size == (800, 500)
        moments = []
        for k in range(3):
            image.seek(k)
            moments.append(np.array(image.convert("RGB"), dtype=int))
    assert np.abs(moments[0] - moments[2]).max() > 50  # colours of 255


def test_what_cannot_be_written_is_said_before_training(network, tmp_path, monkeypatch):
    def film(name):
        LearningAnimation(tmp_path / name, network, INPUTS, TARGETS)

    with pytest.raises(ValueError, match=r"film.avi' must end in .gif or .mp4"):
        film("film.avi")
    with pytest.raises(FileNotFoundError, match=r"needs its folder; create '.*missing'"):
        film("missing/film.gif")
    monkeypatch.setattr(WRITERS[".mp4"], "isAvailable", lambda: False)
    with pytest.raises(RuntimeError, match=r"ffmpeg, which is not installed; .*film.gif'"):
        film("film.mp4")

    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(animation, "TemporaryFile", refuse)
    with pytest.raises(OSError, match=r"film.gif' cannot be written \(Permission denied\)"):
        film("film.gif")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not WRITERS[".mp4"].isAvailable(), reason="ffmpeg is optional")
def test_a_film_for_slides(network, tmp_path):
    film = LearningAnimation(tmp_path / "film.mp4", network, INPUTS, TARGETS, neurons=1)
    network.fit(Task(), 2, callbacks=[film], seed=1)
    film.save()
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert film.path.read_bytes()[4:8] == b"ftyp"  # the first box of every MPEG-4 file
