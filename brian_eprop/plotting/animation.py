"""The film of a trial and of the weights while a network learns."""

from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

import numpy as np
from matplotlib import rc_context
from matplotlib.animation import FFMpegWriter, FuncAnimation, PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.typing import HashableList
from numpy.typing import ArrayLike

from ..checks import Entry, FilePath
from ..files import replacing
from ..network import RecurrentNetwork
from .learning import plot_learning_curve, plot_weights
from .signals import plot_raster, plot_readout
from .style import CYCLE, STYLE, in_common_units, logarithmic, prepare, time_axis

WRITERS = {".gif": PillowWriter, ".mp4": FFMpegWriter}
#: Frames per second, and dots per inch.
SPEED, RESOLUTION = 8, 100
PANELS: list[HashableList[str]] = [
    ["spikes", "w_in"],
    ["spikes", "w_in"],
    ["e_bar", "w_rec"],
    ["signal", "w_rec"],
    ["readout", "loss"],
    ["readout", "loss"],
]

Frame = namedtuple("Frame", "recording weights entries")


def check_animation(path):
    """Raise an error unless an animation can be written under this name.

    Raises
    ------
    ValueError
        If it ends in neither .gif nor .mp4.
    OSError
        If the folder does not exist, or nothing can be written in it.
    RuntimeError
        If it ends in .mp4, and the program ffmpeg is not installed.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise ValueError(f"the animation '{path}' must end in .gif or .mp4")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the animation '{path}' needs its folder; create '{path.parent}'")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OSError(
            f"the animation '{path}' cannot be written ({error.strerror}); name another folder"
        ) from None
    if not WRITERS[path.suffix].isAvailable():
        raise RuntimeError(
            f"the animation '{path}' needs the program ffmpeg, which is not installed; install it, "
            f"or write a gif: '{path.with_suffix('.gif')}'"
        )


class LearningAnimation:
    """A callback of :meth:`RecurrentNetwork.fit` that films a trial and the change of weights.

    Spikes, filtered eligibility traces of the busiest input onto a few neurons, learning signals,
    the output and its target; beside them how the weights have changed, and the loss.

    Parameters
    ----------
    path : path-like
        File to write, .gif (by Pillow) or .mp4 (by ffmpeg).
    network : RecurrentNetwork
        That is trained. One frame is taken at once, before training.
    inputs : (T, n_in) bool array
    targets : (T, n_out) array
        The trial that is filmed.
    learning_window : int, optional
    every : int
        Updates between two frames. A frame takes as long as :meth:`RecurrentNetwork.record`.
    neurons : int
        How many neurons' traces and signals are drawn: those that fire most at the beginning.

    Raises
    ------
    ValueError, FileNotFoundError, RuntimeError
        If the file cannot be written: before, and not after the training.
    """

    def __init__(
        self,
        path: FilePath,
        network: RecurrentNetwork,
        inputs: ArrayLike,
        targets: ArrayLike,
        learning_window: int | None = None,
        *,
        every: int = 1,
        neurons: int | Sequence[int] = 3,
    ) -> None:
        check_animation(path)
        self.path, self.network, self.every = Path(path), network, every
        self.trial, self.neurons = (inputs, targets, learning_window), neurons
        self.entries: list[Entry] = []
        self.frames: list[Frame] = []
        self._take()
        # the same neurons in every frame
        self.neurons = self.frames[0].recording.neurons

    def __call__(self, entry: Entry) -> None:
        """Take a frame if it is time."""
        self.entries.append(entry)
        if len(self.entries) % self.every == 0:
            self._take()

    def _take(self):
        """Record the trial, and copy the weights."""
        recording = self.network.record(*self.trial, neurons=self.neurons, synapses_per_neuron=1)
        weights = {name: self.network.weights[name].copy() for name in ("w_in", "w_rec")}
        self.frames.append(Frame(recording, weights, len(self.entries)))

    def save(self) -> None:
        """Draw and write the file, complete or not at all.

        Raises
        ------
        OSError
            If it cannot be written; a file that was there before is not changed.
        """
        if not self.entries:  # training that was complete already
            return
        writer = WRITERS[self.path.suffix](fps=SPEED)
        with rc_context(STYLE), TemporaryDirectory() as folder:
            figure = Figure(figsize=(8, 5), layout="constrained")
            FigureCanvasAgg(figure)
            places = figure.subplot_mosaic(PANELS, width_ratios=[1.7, 1])
            self._draw(0, figure, places)
            figure.draw_without_rendering()
            # from here on panels stay where they are
            figure.set_layout_engine("none")
            film = FuncAnimation(
                figure, self._draw, frames=len(self.frames), fargs=(figure, places)
            )
            whole = Path(folder) / self.path.name
            film.save(whole, writer=writer, dpi=RESOLUTION)
            with replacing(self.path, "the animation") as file:
                file.write(whole.read_bytes())

    def _draw(self, k, figure, places):
        for ax in places.values():
            ax.clear()
        frame, first = self.frames[k], self.frames[0]
        r = frame.recording
        plot_raster(r.spikes, dt=r.dt, ax=places["spikes"])
        traces, unit = in_common_units(1.0, r.trace_unit)
        name = "Filtered\ntrace $\\bar{e}$" + (f" ({unit})" if unit else "")
        self._lines(places["e_bar"], lambda r: traces * r.e_bar, r, name)
        for column, label in enumerate(r.synapses):
            places["e_bar"].plot([], [], color=CYCLE[column % len(CYCLE)], label=label)
        places["e_bar"].legend(frameon=False, fontsize="x-small", loc="upper left", ncols=3)
        self._lines(
            places["signal"], lambda r: r.learning_signal[:, r.neurons], r, "Learning\nsignal $L$"
        )
        plot_readout(r.times, r.readout, r.target, ax=places["readout"])
        places["readout"].set_ylim(self._limits(lambda r: np.hstack([r.readout, r.target])))
        for name, weights in frame.weights.items():
            start = first.weights[name]
            limit = max(abs(other.weights[name] - start).max() for other in self.frames)
            plot_weights(weights, before=start, limit=limit, ax=places[name])
            places[name].set_title(name)
        places["w_in"].set(xlabel="", ylabel="Input")
        self._loss(places["loss"], frame.entries)
        for panel in ("spikes", "e_bar", "signal"):
            places[panel].set_xlabel("")
            places[panel].tick_params(labelbottom=False)
        places["spikes"].set_title(f"{frame.entries} updates", loc="left")
        figure.align_ylabels([places[name] for name in ("spikes", "e_bar", "signal", "readout")])

    def _lines(self, ax, values, recording, label):
        """Curves over each other, on the scale of the whole film."""
        prepare(ax)
        for column, curve in enumerate(values(recording).T):
            color = CYCLE[column % len(CYCLE)]
            ax.plot(recording.times, curve, color=color, linewidth=0.8)
        ax.set_ylim(self._limits(values))
        time_axis(ax, 0, len(recording.spikes) * recording.dt)
        ax.set_ylabel(label)

    def _limits(self, values):
        """The ordinate that has room for the values of all frames."""
        drawn = np.concatenate([values(frame.recording) for frame in self.frames])
        low, high = drawn.min(), drawn.max()
        margin = 0.06 * (high - low) or 1.0
        return low - margin, high + margin

    def _loss(self, ax, entries):
        prepare(ax)
        if entries:
            plot_learning_curve(self.entries[:entries], ax=ax)
        losses = [entry["loss"] for entry in self.entries]
        logarithmic(ax, np.array(losses))
        ax.set(ylim=(0.8 * min(losses), 1.25 * max(losses) or 1.0))
        ax.set(xlim=(0, len(losses)), xlabel="Iteration", ylabel="Loss")
