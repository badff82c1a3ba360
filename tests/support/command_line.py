"""The command line, called in this process."""

from typer.testing import CliRunner

from brian_eprop.cli import app


def brian_eprop(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])
