"""``python -m brian_eprop`` is the command ``brian-eprop``."""

from .cli import app

app(prog_name="brian-eprop")
