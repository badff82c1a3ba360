"""Rules compared side by side: numbers, files, figures, and Brian2's forward pass."""

import json
import math

import numpy as np
import pytest
from attrs import evolve
from cell_networks import cell_network, cell_task
from command_line import brian_eprop

from brian_eprop import RecurrentNetwork, reference
from brian_eprop.reference import RULES, gradients
from brian_eprop.reference.computation import example_rules, parse_rule, rule_label
from brian_eprop.rule_study import study
from brian_eprop.rule_study.comparison import compare
from brian_eprop.rule_study.operations import stored_numbers
from brian_eprop.rule_study.study import RuleComparison, format_table

pytestmark = pytest.mark.usefixtures("numpy_target")


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("bptt", "bptt", {}),
        ("eprop(order=2, truncation=horizon)", "eprop", {"order": 2, "truncation": "horizon"}),
        ("eprop(order=inf)", "eprop", {"order": math.inf}),
        (" ok(rank=4) ", "ok", {"rank": 4}),
        ("tbptt(horizon=5)", "tbptt", {"horizon": 5}),
    ],
)
def test_rules_are_written_like_calls(text, name, options):
    assert parse_rule(text) == (name, options, None)
    assert parse_rule(rule_label(name, options)) == (name, options, None)


def test_feedback_is_written_like_an_option():
    label = "eprop(order=2, feedback=symmetric)"
    assert parse_rule(label) == ("eprop", {"order": 2}, "symmetric")
    assert rule_label(*parse_rule(label)) == label


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["''", "eprop(order=2"]),
        ("ok(4)", ["'ok(4)'"]),
        ("ok(rank=", ["'ok(rank='"]),
        ("a + b", ["'a + b'"]),
        ("ok(rank=__import__('os'))", ["__import__"]),
        ("magic(x=1)", ["'magic'", "'bptt'"]),
        ("bptt(feedback=random)", ["'bptt'", "'feedback'"]),
        ("eprop(feedback=strong)", ["'strong'", "symmetric"]),
    ],
)
def test_what_is_no_rule_is_refused(text, words):
    with pytest.raises(ValueError) as error:
        parse_rule(text)
    for word in words:
        assert word in str(error.value)


def test_every_registered_rule_is_among_the_examples():
    assert {parse_rule(label)[0] for label in example_rules()} == set(RULES)


@pytest.mark.slow
@pytest.mark.parametrize("cell", ["alif", "gru"])
def test_numbers_of_the_table(cell):
    network = cell_network(cell, 1)
    inputs, targets = cell_task(network, 1)
    rules = ["bptt", "eprop", "eprop(feedback=symmetric)", "kf_rtrl", "rtrl"]
    rows = {row.label: row for row in compare(network, inputs, targets, rules, draws=200)}
    exact = gradients(network, inputs, targets)

    def flat(result):
        return np.concatenate([getattr(result, name).ravel() for name in network.blocks])

    g, found = flat(exact), flat(gradients(network, inputs, targets, "eprop"))
    row = rows["eprop"]
    assert row.error == pytest.approx(np.linalg.norm(found - g) / np.linalg.norm(g), rel=1e-10)
    cosine = found @ g / np.linalg.norm(found) / np.linalg.norm(g)
    assert row.cosine == pytest.approx(cosine, rel=1e-10)
    assert (row.spread, row.error_spread) == (0, 0)
    assert rows["eprop(feedback=symmetric)"].error != row.error
    assert rows["bptt"].error == 0 and rows["bptt"].cosine == pytest.approx(1)
    assert rows["rtrl"].error < 1e-12
    drawn = rows["kf_rtrl"]
    assert drawn.spread > 0.1 and drawn.error > 0.1
    # the mean of unbiased draws is off by about spread/√draws
    assert 0.5 < drawn.bias / (drawn.spread / np.sqrt(200)) < 2
    for row in rows.values():
        assert row.memory > 0 and row.operations > 0 and row.seconds > 0
    assert rows["rtrl"].memory > 2 * rows["eprop"].memory
    assert rows["rtrl"].operations > 2 * rows["bptt"].operations


def test_rules_that_do_not_apply_say_why():
    network = cell_network("alif", 1, delay_rec=np.arange(25).reshape(5, 5) % 3)
    kf, bptt = compare(network, *cell_task(network, 1), ["kf_rtrl", "bptt"])
    assert "'delay_rec'" in kf.refusal and math.isnan(kf.error)
    assert bptt.refusal is None
    assert f"kf_rtrl: {kf.refusal}" in format_table([kf, bptt])


def test_options_out_of_range_are_an_error_not_a_refusal():
    network = cell_network("alif", 1)
    with pytest.raises(ValueError, match="'rank' = 0"):
        compare(network, *cell_task(network, 1), ["ok(rank=0)"])


def test_a_rule_that_diverges_is_listed_with_the_step(monkeypatch):
    class Diverging(RULES["rtrl"].recursion):
        def step(self, step, signal):
            return {name: np.inf * part for name, part in super().step(step, signal).items()}

    monkeypatch.setitem(RULES, "rtrl", evolve(RULES["rtrl"], recursion=Diverging))
    network = cell_network("lif", 1)
    rtrl, bptt = compare(network, *cell_task(network, 1), ["rtrl", "bptt"])
    assert "rule 'rtrl' diverged" in rtrl.refusal and "at step" in rtrl.refusal
    assert bptt.error == 0


def test_a_silent_network_cannot_be_compared():
    network = cell_network("lif", 1, v_th=1e3, surrogate_width=1.0)
    with pytest.raises(ValueError, match="0 everywhere"):
        compare(network, *cell_task(network, 1), ["eprop"])


def test_stored_numbers_count_arrays_once_and_no_weights():
    network = cell_network("elman", 1)
    recursion = RULES["rtrl"].at_work(network, np.random.default_rng(0))
    recursion.start(1)
    assert stored_numbers(recursion) == 0
    recursion.held = {"a": np.ones((3, 4)), "b": [np.ones(2), network.parameters["w_in"]]}
    recursion.again = recursion.held["a"][1:]
    assert stored_numbers(recursion) == 14


SMALL = dict(n_in=3, n_rec=5, steps=12, draws=4, orders=3, iterations=3, seeds=2)


@pytest.mark.slow
def test_a_comparison_writes_its_numbers_and_figures(tmp_path):
    rules = ("bptt", "eprop(feedback=symmetric)", "eprop(feedback=adaptive)", "kf_rtrl", "rflo")
    compared = RuleComparison(cell="lif", sizes=(3, 6), task="add", rules=rules, **SMALL)
    table = compared.run(tmp_path / "new", progress=False)
    assert [row.label for row in table] == list(rules)
    found = json.loads((tmp_path / "new" / "comparison.json").read_text())
    assert found["settings"]["n_rec"] == 5
    assert [row["label"] for row in found["rules"]] == list(rules)
    # 'rflo' is for leaky rate units
    assert found["rules"][4]["error"] is None and "lif" in found["rules"][4]["refusal"]
    assert "rflo" in found["learning"]["failures"]
    assert np.shape(found["learning"]["scores"]["bptt"]) == (2, 3)
    first, second = (found["learning"]["scores"][rule] for rule in rules[1:3])
    assert np.array(first)[:, 0] == pytest.approx(np.array(second)[:, 0])
    assert first != second
    assert len(found["costs"]["bptt"]["seconds"]) == 2
    for truncation in ("hops", "horizon"):
        errors = found["orders"][truncation]
        # the first order has no explicit edge, whatever the truncation
        assert errors[0] == pytest.approx(found["rules"][1]["error"])
    figures = {path.stem for path in (tmp_path / "new" / "figures").iterdir()}
    assert figures == {"errors", "map", "order", "spread", "cost", "learning"}
    assert "biased, causal, local" in (tmp_path / "new" / "table.txt").read_text()
    with pytest.raises(FileExistsError, match="--out"):
        compared.run(tmp_path / "new", progress=False)


@pytest.mark.slow
@pytest.mark.slow_unless(cell=["elman", "alif"])
@pytest.mark.parametrize("cell", sorted(reference.CELLS))
def test_all_rules_are_compared_on_every_cell(cell, tmp_path, monkeypatch):
    # which know of no cell
    monkeypatch.setattr(study, "save_comparison_figures", lambda *arguments: None)
    settings = SMALL | {"orders": 0, "draws": 2}
    table = RuleComparison(cell=cell, **settings).run(tmp_path / cell, progress=False)
    assert [row.label for row in table] == example_rules()
    applied = [row for row in table if row.refusal is None]
    assert len(applied) >= 20
    for row in applied:
        assert np.isfinite(row.error) and row.memory > 0 and row.operations > 0, row.label
        if RULES[row.rule].exact:
            assert row.error < 1e-12, row.label


@pytest.mark.slow
def test_forward_pass_by_brian2(tmp_path):
    """The spikes, and so everything else, are those of the simulator."""
    network = RecurrentNetwork("alif", n_in=10, n_rec=8, n_out=2, seed=1)
    network.save(tmp_path / "weights.npz")
    settings = SMALL | {"steps": 60}
    compared = RuleComparison(
        weights=str(tmp_path / "weights.npz"), rules=("bptt", "rtrl"), **settings
    )
    problem = compared._problem()
    spikes = np.stack([step.observable for step in problem.steps], axis=1)
    assert spikes.shape == (1, 60, 8) and spikes.sum() > 5
    np.testing.assert_array_equal(network.simulate(problem.inputs > 0).spikes, spikes)
    table = compared.run(tmp_path / "out", progress=False)
    assert table[1].error < 1e-12
    # other spikes than the reference's own are taken as they are
    described, trial = network.reference_network(), (problem.inputs, problem.targets)
    along = gradients(described, *trial, spikes=np.roll(spikes, 1, axis=1))
    assert np.any(along.w_rec != gradients(described, *trial, spikes=spikes).w_rec)


def test_command_line(tmp_path):
    out = tmp_path / "out"
    done = brian_eprop(
        "compare", "bptt", "ok(rank=2)", "--cell", "elman", "--neurons", 4, "--steps", 8,
        "--draws", 2, "--orders", 0, "--format", "svg", "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "ok(rank=2)" in done.output and "unbiased, causal" in done.output
    assert {path.name for path in (out / "figures").iterdir()} == {
        f"{name}.svg" for name in ("errors", "map", "spread")
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["magic"], ["'magic'", "'bptt'"]),
        (["--cell", "transformer"], ["'transformer'", "'lstm'"]),
        (["--steps", 0], ["steps", "0"]),
        (["--size", 1], ["sizes", "1"]),
        (["--task", "ad"], ["'ad'", "'add'"]),
        (["--density", 2.0], ["'density'", "2.0"]),
        (["--format", "jpg"], ["'jpg'", "svg"]),
        (["snap(n=0)"], ["'n' = 0"]),
        (["--weights", "nowhere.npz"], ["nowhere.npz"]),
        (["--model", "adx"], ["'adx'", "adex"]),
        (["--model", "lif", "--density", 2.0], ["'density'", "2.0"]),
        (["--model", "lif", "--weights", "w.npz"], ["model", "'w.npz'"]),
        (["nowhere.py"], ["nowhere.py", "no such file"]),
    ],
)
def test_bad_command_lines_are_refused_in_words(arguments, words, tmp_path):
    done = brian_eprop("compare", *arguments, "--out", tmp_path / "out")
    assert done.exit_code == 2
    for word in words:
        assert word in done.output, done.output
    assert not (tmp_path / "out").exists()
