"""How the documentation is built: ``make html`` in this folder."""

import os
import re
import sys
from importlib.metadata import version as installed
from pathlib import Path

# The examples' networks are small: threads that share their matrices would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported

sys.path.insert(0, str(Path(__file__).parent))
import generated_pages

project = "brian_eprop"
author = "The brian_eprop developers"
copyright = author
release = version = installed("brian_eprop")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # formulas without a server of others
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
# The gallery's notebooks are there to be downloaded; its pages are the scripts.
exclude_patterns = ["_build", "gallery/*.ipynb", "**.ipynb_checkpoints"]
nitpicky = False

# Pages

html_theme = "furo"
html_title = f"brian_eprop {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False

# Markdown and notebooks

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# Every notebook is executed, once for each of its versions, and a cell that fails ends the build.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_merge_streams = True

# Reference: every class with its members on one page, no stub pages

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more: shapes and units
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Brian2's names, also where there is no internet

intersphinx_mapping = {
    "brian2": ("https://brian2.readthedocs.io/en/stable/", (None, "brian2.inv")),
}
intersphinx_timeout = 5

# Gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "abort_on_example_error": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "within_subsection_order": "gallery_setup.ORDER",
    "reset_modules": ("matplotlib", "gallery_setup.forget_brian2"),
    "min_reported_time": 0,
    "parallel": 2,
}


def link_examples(app, page, source):
    """On this site an example is its page; in the repository the same link leads to its script."""
    source[0] = re.sub(r"\.\./examples/(plot_\w+)\.py\)", r"gallery/\1.rst)", source[0])
    source[0] = source[0].replace("(../examples)", "(gallery/index.rst)")


def setup(app):
    app.connect("builder-inited", generated_pages.write)
    app.connect("source-read", link_examples)
