"""The command ``brian-eprop``."""

import shlex
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer
from attrs import evolve
from brian2 import BrianLogger

from .calculus.linearize import linearize
from .learning.rule import EProp
from .network import check_model
from .neurons.neuron_model import available_models, load_model
from .plotting.style import draw_off_screen
from .rule_study import AlignmentMonitor, RuleComparison, format_rules, format_table
from .runs import (
    Configuration,
    Sweep,
    align,
    backend,
    check_script,
    plot_run,
    resume,
    run_sweep,
    write_report,
)
from .runs import train as run_training
from .runs.doctor import findings
from .runs.following import ReportServer
from .runs.surroundings import ERRORS
from .tasks import available_tasks
from .tasks.event_files import Layout, convert_events

#: By how a run ended; 0 else.
EXIT_CODES = {"interrupted": 130, "diverged": 1}
#: Options of training that a configuration has as well, besides the number of iterations.
CHANGES = ("model", "neurons", "seed", "device", "feedback", "order")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    # as text: rich would take "[sweep]" in a help text for a colour
    rich_markup_mode=None,
    help="e-prop and its family for Brian2: train networks, derive and check learning rules.",
)

Workers = Annotated[int, typer.Option(help="Processes; -1 for one a core.")]
Cluster = Annotated[
    str | None, typer.Option(help="Address of a dask scheduler, whose workers take part.")
]
Format = Annotated[str, typer.Option("--format", help="Of the figures: png, svg or pdf.")]
Model = Annotated[str, typer.Argument(help="A model's name, or the path of your own .toml file.")]


@contextmanager
def _errors_in_words(stopped="interrupted"):
    """A context in which errors of the input and Ctrl-C end the command with words, no traceback.

    Parameters
    ----------
    stopped : str
        What there is to say after Ctrl-C.
    """
    try:
        yield
    except ERRORS as error:
        typer.echo(f"brian-eprop: {_in_words(error)}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(stopped)
        raise typer.Exit(EXIT_CODES["interrupted"]) from None


def _in_words(error):
    """What an error says, without the number that the system has for it."""
    if not isinstance(error, OSError) or error.errno is None:
        return str(error)
    return f"{error.strerror}: '{error.filename}'" if error.filename else error.strerror


@app.command()
def train(
    context: typer.Context,
    task: Annotated[
        str | None, typer.Argument(help="See 'brian-eprop tasks'; or the path of your own .py.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A configuration file to start from.")] = None,
    resume_run: Annotated[
        Path | None, typer.Option("--resume", help="The folder of a run to go on with.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="With --resume: execute the .py that is its task.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="The run folder. Default: runs/TASK.")] = None,
    device: Annotated[str | None, typer.Option(help="cpp_standalone or runtime.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights and trials.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Number of updates.")] = None,
    neurons: Annotated[int | None, typer.Option(help="Number of recurrent neurons.")] = None,
    model: Annotated[str | None, typer.Option(help="Neuron model, or path of one.")] = None,
    feedback: Annotated[str | None, typer.Option(help="symmetric, random or adaptive.")] = None,
    order: Annotated[float | None, typer.Option(help="1 (e-prop), 2, 3 … inf (BPTT).")] = None,
    figures: Format = "png",
    animation: Annotated[
        Path | None, typer.Option(help="A film of learning to write: .gif or .mp4.")
    ] = None,
    align_every: Annotated[
        int | None,
        typer.Option(
            help="Iterations between comparisons of e-prop of order 1, 2 and 3 with BPTT, which "
            "cost four gradients more and become columns of the history and a figure."
        ),
    ] = None,
    workers: Workers = 1,
    cluster: Cluster = None,
):
    """Train a network on a task and write a run folder with its figures."""
    stopped = (
        "stopped at once; 'brian-eprop train --resume FOLDER' goes on from the last checkpoint of "
        "a run"
    )
    with _errors_in_words(stopped), backend(cluster) as remote:
        if [task, config, resume_run].count(None) != 2:
            raise ValueError(
                f"name a task ({', '.join(available_tasks())}), a configuration (--config), or a "
                "run to go on with (--resume), one of the three"
            )
        if trust and resume_run is None:
            raise ValueError(
                "--trust goes with --resume; a .py that you name yourself is executed without it"
            )
        workers = -1 if remote else workers
        alignment = None
        if align_every is not None:
            orders = [EProp(order=order) for order in (1, 2, 3)]
            alignment = AlignmentMonitor(orders, every=align_every)
        pictures = {"figures": figures, "animation": animation, "alignment": alignment}
        if order is not None and order.is_integer():
            order = int(order)
        changes = {name: context.params[name] for name in CHANGES} | {"order": order}
        if resume_run is not None:
            fixed = [name for name, value in (changes | {"out": out}).items() if value is not None]
            if fixed:
                raise ValueError(
                    f"--{fixed[0]} cannot be changed in a run that has begun; with --resume give "
                    "--iterations only, to train for longer"
                )
            folder = resume_run
            training = {"iterations": iterations, "trust": trust, "workers": workers}
            result = resume(folder, **training, **pictures)
            again = ["--trust"] * trust
        else:
            start = Configuration.read(config) if config else Configuration.of_task(task)
            configuration = start.changed(iterations=iterations, **changes)
            folder = out or Path("runs") / Path(configuration.task).stem
            result = run_training(configuration, folder, workers=workers, **pictures)
            again = ["--trust"] * configuration.own_task
    _tell(result, folder, ["brian-eprop", "train", "--resume", str(folder), *again])


def _tell(result, folder, again):
    """Print the outcome of a run, and end with its exit code; `again`: the command to go on."""
    if result.ended == "interrupted":
        typer.echo(
            f"interrupted after {result.iterations} iterations; what there is was written, and "
            f"'{shlex.join(again)}' goes on"
        )
    elif result.ended == "diverged":
        typer.echo(f"brian-eprop: {result.diagnosis}", err=True)
        typer.echo(f"stopped after {result.iterations} iterations; the last good weights are kept")
    elif result.ended != "iterations":
        typer.echo(f"ended after {result.iterations} iterations by {result.ended}")
    if result.iterations:
        typer.echo(
            f"loss {result.first_loss:.4g} → {result.loss:.4g} in {result.iterations} iterations "
            f"and {result.seconds:.0f} s, at {result.rate:.1f} spikes/s"
        )
    if result.test is not None:
        typer.echo(f"metric of new trials: {result.test:.4g}")
    typer.echo(f"written to {folder}{'/: look at figures/' if result.iterations else ''}")
    if result.ended in EXIT_CODES:
        raise typer.Exit(EXIT_CODES[result.ended])


@app.command()
def config(
    task: Annotated[str, typer.Argument(help="See 'brian-eprop tasks'; or the path of a .py.")],
):
    """Print the configuration of a task in full, as a file to change and to give to train."""
    with _errors_in_words():
        typer.echo(Configuration.of_task(task).text(), nl=False)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="A configuration with a table [sweep].")],
    out: Annotated[Path | None, typer.Option(help="Default: sweeps/NAME of the file.")] = None,
    figures: Format = "png",
    workers: Workers = 1,
    cluster: Cluster = None,
):
    """Run a grid of configurations and seeds; what is finished is not repeated."""
    folder = out or Path("sweeps") / config.stem
    stopped = "interrupted; what there is was written, and the same command goes on"
    with _errors_in_words(stopped), backend(cluster) as remote:
        plan = Sweep.read(config)
        workers = -1 if remote else workers
        table, failed = run_sweep(plan, folder, workers=workers, report=typer.echo, figures=figures)
    for name, error in failed.items():
        typer.echo(f"brian-eprop: {name}: {error}", err=True)
    drawn = f", learning_curves.{figures}, results.{figures}" if table.sizes["iteration"] else ""
    typer.echo(f"written to {folder}: table.nc{drawn}")
    raise typer.Exit(1 if failed else 0)


@app.command()
def derive(
    model: Model,
    latex: Annotated[bool, typer.Option("--latex", help="As LaTeX instead of text.")] = False,
    method: Annotated[str | None, typer.Option(help="Another integration method.")] = None,
):
    """Print the eligibility traces of a model, derived from its equations."""
    with _errors_in_words():
        loaded = load_model(model)
        linearization = linearize(evolve(loaded, method=method) if method else loaded)
        typer.echo(linearization._repr_latex_() if latex else str(linearization))


@app.command()
def check(
    model: Annotated[
        str, typer.Argument(help="A neuron model or its file; or your own Brian2 script, a .py.")
    ],
    method: Annotated[str | None, typer.Option(help="Another integration method.")] = None,
    seed: Annotated[int, typer.Option(help="Of weights and input, or of the choice.")] = 0,
    synapses: Annotated[int, typer.Option(help="Of a script: how many per projection.")] = 20,
):
    """Compare what learning computes in Brian2 with finite differences.

    Of a model, in a small network of its own; of a script, in the network that its first run
    with a Learner would run.
    """
    with _errors_in_words():
        if model.endswith(".py"):
            result = check_script(model, synapses=synapses, seed=seed)
        else:
            result = check_model(load_model(model), method=method, seed=seed)
    typer.echo(str(result))
    raise typer.Exit(0 if result.passed else 1 if result.rows else 2)


@app.command()
def compare(
    context: typer.Context,
    rules: Annotated[
        list[str] | None,
        typer.Argument(
            help="Such as rtrl 'ok(rank=4)' 'eprop(order=2)'. Default: all. Before them perhaps "
            "your own Brian2 script, a .py, whose network is taken."
        ),
    ] = None,
    cell: Annotated[
        str, typer.Option(help="lif, alif, elman, jordan, leaky_rate, lstm or gru.")
    ] = "alif",
    model: Annotated[
        str | None,
        typer.Option(help="A neuron model or its file instead of a cell; Brian2 runs it."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A trained network's weights.npz instead; Brian2 runs it."),
    ] = None,
    n_rec: Annotated[int, typer.Option("--neurons", help="Number of recurrent units.")] = 20,
    n_in: Annotated[int, typer.Option("--inputs", help="Number of inputs.")] = 10,
    n_out: Annotated[int, typer.Option("--outputs", help="Number of outputs.")] = 2,
    density: Annotated[float, typer.Option(help="Fraction of recurrent connections.")] = 1.0,
    steps: Annotated[int, typer.Option(help="Length of the sequences.")] = 50,
    batch: Annotated[int, typer.Option(help="Number of sequences.")] = 1,
    draws: Annotated[int, typer.Option(help="Of stochastic rules.")] = 50,
    orders: Annotated[int, typer.Option(help="Largest order of e-prop; 0 for no figure.")] = 8,
    sizes: Annotated[
        list[int] | None,
        typer.Option("--size", help="Number of units at which to measure the cost; give several."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="Learn add, anbn, copy, mimic or string_memorization."),
    ] = None,
    iterations: Annotated[int, typer.Option(help="Of learning.")] = 200,
    seeds: Annotated[int, typer.Option(help="How often to learn.")] = 3,
    update: Annotated[str, typer.Option(help="Learn after each sequence or step.")] = "sequence",
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 3e-3,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Default: comparisons/CELL.")] = None,
    figures: Format = "png",
):
    """Compare learning rules on one network: error, spread, memory, operations, time, learning."""
    with _errors_in_words():
        # the other arguments are the fields of a comparison
        settings = {k: v for k, v in context.params.items() if k not in ("out", "figures")}
        settings["weights"] = None if weights is None else str(weights)
        script, *rules = rules if rules and rules[0].endswith(".py") else (None, *(rules or ()))
        settings |= {"script": script, "rules": tuple(rules), "sizes": tuple(sizes or ())}
        comparison = RuleComparison(**settings)
        own = model or script
        name = weights.resolve().parent.name if weights else Path(own).stem if own else cell
        folder = out or Path("comparisons") / name
        typer.echo(format_table(comparison.run(folder, figures=figures)))
    typer.echo(f"written to {folder}/: look at figures/")


@app.command()
def rules():
    """List the learning rules of the reference: kind, cost, source."""
    typer.echo(format_rules())


@app.command()
def models():
    """List the neuron models."""
    for name in available_models():
        description = " ".join(load_model(name).description.split())
        typer.echo(f"{name:18} {description.split('. ')[0].split(': ')[0].rstrip('.')}")


@app.command()
def tasks():
    """List the tasks."""
    for name in available_tasks():
        typer.echo(name.replace("_", "-"))


@app.command()
def events(
    source: Annotated[Path, typer.Argument(help="A file, or a folder of files.")],
    path: Annotated[Path, typer.Argument(help="The event file to write.")],
    layout: Annotated[str, typer.Option(help=f"Of the source: {', '.join(get_args(Layout))}.")],
    channels: Annotated[int | None, typer.Option(help="Of a table.")] = None,
    sensor: Annotated[
        tuple[int, int, int] | None,
        typer.Option(help="Polarities, height and width, of dvs.", metavar="<int int int>"),
    ] = None,
    label: Annotated[
        str, typer.Option(help="Of neo and nwb: the annotation, or column, that is the class.")
    ] = "label",
):
    """Write labelled events of another layout as a file that the task 'recorded' learns from."""
    with _errors_in_words():
        file = convert_events(source, path, layout, channels=channels, sensor=sensor, label=label)
    typer.echo(
        f"{len(file.labels)} trials of {len(file.names)} classes and {file.channels} channels, "
        f"written to {path}"
    )


@app.command()
def plot(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    figures: Format = "png",
):
    """Draw the figures of a run folder again; nothing in it is executed."""
    with _errors_in_words():
        for path in plot_run(run, figures):
            typer.echo(path)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    follow: Annotated[
        bool, typer.Option("--follow", help="Serve it here, drawn anew as the run goes on.")
    ] = False,
    port: Annotated[int, typer.Option(help="With --follow; 0 for one that is free.")] = 0,
):
    """Write a run's report, one HTML file; checks the gradients, exit code 1 if they are wrong.

    With --follow nothing is written and checked: the page is served on this machine until Ctrl-C.
    Nothing in the folder is executed.
    """
    with _errors_in_words():
        if port and not follow:
            raise ValueError("--port is where the report is served: give it with --follow")
        if follow:
            _serve(run, port)
            return
        path, check = write_report(run)
    typer.echo(f"written to {path}")
    if check is None:
        return
    if check.rows:
        agree = "agree" if check.passed else "DO NOT AGREE"
        typer.echo(f"gradients from Brian2 and from {check.against} {agree}")
        raise typer.Exit(0 if check.passed else 1)
    typer.echo(f"gradients were not checked: {check.reason}")


def _serve(run, port):
    """Serve the report of a run until Ctrl-C."""
    draw_off_screen()  # windows are for the main thread, and pages are drawn in others
    with ReportServer(run, port) as server:
        typer.echo(f"the report of {run}, drawn anew as the run goes on, until Ctrl-C:")
        typer.echo(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo()


@app.command("align")
def align_command(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    rules: Annotated[
        list[str] | None,
        typer.Argument(help="Rules of the reference, such as mdgl. Default: those of Brian2."),
    ] = None,
    trials: Annotated[int, typer.Option(help="How many.")] = 8,
    trust: Annotated[
        bool, typer.Option("--trust", help="Execute the .py that is its task.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="A .png, .svg or .pdf to draw them into.")
    ] = None,
):
    """Compare the gradients of rules with that of back-propagation in a trained network."""
    with _errors_in_words():
        given = {"rules": tuple(rules)} if rules else {}
        found = align(run, trials=trials, trust=trust, figure=figure, **given)
        typer.echo(str(found))
        if figure is not None and found.columns:
            typer.echo(f"written to {figure}")


@app.command()
def doctor():
    """Say what this machine has, and whether it computes; made to be pasted into a report.

    Exit code 1 if something is wrong.
    """
    wrong = 0
    for finding in findings():
        typer.echo(str(finding))
        wrong += finding.remedy is not None
    raise typer.Exit(1 if wrong else 0)


@app.callback()
def main():
    # Groups that are made to be read and never run are no mistake here.
    BrianLogger.suppress_name("unused_brian_object")
