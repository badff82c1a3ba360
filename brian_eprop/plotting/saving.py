"""Figures as files."""

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg

from brian_eprop.atomic_write import replacing

from .style import STYLE

__all__ = ["FORMATS", "check_format", "save_figures"]

#: Pixels to look at, or lines to print and to edit.
FORMATS = ("png", "svg", "pdf")
RESOLUTION = 150  # dots per inch of pixels


def check_format(format):
    """Raise ValueError unless figures can be written in this format."""
    if format not in FORMATS:
        raise ValueError(
            f"figures cannot be written as '{format}'; choose one of {', '.join(FORMATS)}"
        )


def save_figures(folder, figures, format="png"):
    """Write figures, each complete or not at all.

    Parameters
    ----------
    folder : Path
    figures : dict of str to Figure
        By the name of the file, without its ending.
    format : {"png", "svg", "pdf"}

    Returns
    -------
    list of Path

    Raises
    ------
    ValueError
        If there is no such format.
    OSError
        If a file cannot be written.
    """
    check_format(format)
    paths = []
    for name, figure in figures.items():
        paths.append(folder / f"{name}.{format}")
        FigureCanvasAgg(figure)
        with rc_context(STYLE), replacing(paths[-1], "the figure") as file:
            figure.savefig(file, format=format, dpi=RESOLUTION)
    return paths
