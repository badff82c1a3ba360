"""The wheel carries the neuron models, and an installed package finds them."""

import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path

import pytest

from brian_eprop.neurons.neuron_model import available_models

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # setuptools leaves build/ in the source tree: build from a copy of what it reads
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "brian_eprop", "models"):
        if (ROOT / name).exists():
            (source / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(source)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("brian_eprop-*.whl")
    return path


@pytest.mark.slow
def test_wheel_holds_every_model_file(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        inside = {name for name in names if name.startswith("brian_eprop/models/")}
        table = tomllib.loads(archive.read("brian_eprop/models/alif.toml").decode())
    wanted = {f"brian_eprop/models/{path.name}" for path in (ROOT / "models").glob("*.toml")}
    assert wanted
    assert inside == wanted | {"brian_eprop/models/__init__.py"}
    assert table["name"] == "alif"
    assert not any(name.startswith(("models/", "tests/", "build/")) for name in names)


@pytest.mark.slow
def test_wheel_holds_every_module_and_template(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if name.startswith("brian_eprop/")}
    source = ROOT / "brian_eprop"
    wanted = {
        str(path.relative_to(ROOT))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"brian_eprop/network/compiled.py", "brian_eprop/plotting/style.py"} <= wanted
    assert any("/templates/" in name for name in wanted)
    assert {name for name in inside if not name.startswith("brian_eprop/models/")} == wanted


@pytest.mark.slow
def test_a_model_is_read_out_of_the_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        # an editable install's finder would answer first for brian_eprop.models
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "import brian_eprop.neurons.neuron_model as n\n"
        "print(n.__file__, n.load_model('alif').name, *n.available_models())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    path, name, *available = done.stdout.split()
    assert Path(path).is_relative_to(tmp_path)
    assert name == "alif"
    assert available == available_models()


def test_installed_package_is_this_source_tree():
    for path in (ROOT / "models").glob("*.toml"):
        installed = files("brian_eprop.models") / path.name
        assert installed.read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_models_are_found_by_a_script_in_a_clone(tmp_path):
    (tmp_path / "brian_eprop").symlink_to(ROOT / "brian_eprop")
    (tmp_path / "models").symlink_to(ROOT / "models")
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
        "import importlib.util, brian_eprop.neurons.neuron_model as n\n"
        "assert importlib.util.find_spec('brian_eprop.models') is None\n"
        "print(n.load_model('alif').name, *n.available_models())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["alif", *available_models()]
