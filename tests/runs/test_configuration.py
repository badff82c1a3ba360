"""Configuration files: all that can be configured reaches the network, and reads back the same."""

import math

import numpy as np
import pytest
from brian2 import Hz, ms, second
from task_options import options_of

from brian_eprop import Bounds, CosineDecay, DaleLaw, DeepR
from brian_eprop.runs.configuration import Configuration
from brian_eprop.tasks import available_tasks

EVERYTHING = """
task = "temporal_xor"
seed = 7
checkpoint_every = 25

[options]
delay = "40*ms"

[setup]
order = inf
feedback = "random"
goal = 0.05
gains = { w_rec = 0.25 }
evaluate_every = 5
patience = 4
evaluation_trials = 32
max_rate = "150*Hz"
learning_rate = { kind = "CosineDecay", start = 1e-2, end = 1e-4, over = 100 }
neurons = [
    { model = "alif", count = 16, parameters = { tau_a = "300*ms" } },
    { model = "lif", count = 4, parameters = { tau_m = ["10*ms", "12*ms", "14*ms", "16*ms"] } },
]
trainable = { tau_m = ["5*ms", "50*ms"], beta = [0.0, 1.0] }
trainable_delays = { w_rec = ["0*ms", "20*ms"] }
constraints = [
    { kind = "DaleLaw", inhibitory = [1] },
    { kind = "Bounds", low = -3, high = 3, matrices = ["w_in"] },
    { kind = "DeepR", density = 0.3, matrices = ["w_rec"], temperature = 1e-6 },
]
delays = { w_in = "2*ms", w_rec = ["1*ms", "9*ms"] }

[setup.connectivity]
w_in = { kind = "fixed_degree", degree = 6 }
"""


@pytest.fixture
def everything(tmp_path):
    path = tmp_path / "everything.toml"
    path.write_text(EVERYTHING)
    return Configuration.read(path)


def test_all_that_is_configured_reaches_the_network(everything):
    network = everything.make_network()
    d = network.description
    recommended = Configuration.of_task("temporal_xor").setup.gains
    assert everything.setup.gains == recommended | {"w_rec": 0.25}
    assert d.rule.order == math.inf and d.feedback == "random"
    assert [p.count for p in d.populations] == [16, 4]
    np.testing.assert_allclose(d.populations[1].parameters["tau_m"] / ms, [10, 12, 14, 16])
    assert d.populations[0].parameters["tau_a"] == 300 * ms
    assert network.optimizer.learning_rate == CosineDecay(1e-2, 1e-4, over=100)
    assert [type(c) for c in d.constraints] == [DaleLaw, Bounds, DeepR]
    assert (network.weights["w_rec"][16:] <= 0).all() and network.weights["w_rec"][16:].any()
    assert list(d.trainable) == ["tau_m", "beta"]
    assert d.trainable_delays["w_rec"].bounds == (0 * ms, 20 * ms)
    np.testing.assert_array_equal(d.connectivity["w_in"].sum(axis=0), 6)
    delays = np.asarray(d.delays["w_rec"] / ms)
    assert delays.min() == pytest.approx(1) and delays.max() == pytest.approx(9)
    assert len(np.unique(delays.round(6))) == 9
    assert d.delays["w_in"] == 2 * ms
    expected = dict(goal=0.05, evaluate_every=5, patience=4, evaluation_trials=32)
    assert everything.fit_options == expected | {"max_rate": 150 * Hz}
    assert everything.checkpoint_every == 25 and everything.make_task().delay == 40 * ms


def test_a_configuration_in_full_reads_back_the_same(everything, tmp_path):
    everything.write(tmp_path / "again.toml")
    again = Configuration.read(tmp_path / "again.toml")
    assert again.text() == everything.text()
    one, two = everything.make_network(), again.make_network()
    for name, values in one.weights.items():
        np.testing.assert_array_equal(values, two.weights[name])
    np.testing.assert_array_equal(
        np.asarray(one.description.delays["w_rec"]), np.asarray(two.description.delays["w_rec"])
    )


@pytest.mark.first_case_is_fast
@pytest.mark.parametrize("name", available_tasks())
def test_what_a_task_recommends_reads_back_the_same(name, tmp_path):
    recommended = Configuration.of_task(name, **options_of(name))
    recommended.write(tmp_path / "task.toml")
    again = Configuration.read(tmp_path / "task.toml")
    assert again.text() == recommended.text()
    one, two = recommended.make_network(), again.make_network()
    for matrix, values in one.weights.items():
        np.testing.assert_array_equal(values, two.weights[matrix])


def test_populations_as_layers(tmp_path):
    path = tmp_path / "layers.toml"
    path.write_text(
        'task = "temporal_xor"\n[setup]\n'
        'neurons = [{ model = "lif", count = 5 }, { model = "alif", count = 3 }]\n'
        'feedback = "random"\nconnectivity = { layers = true }'
    )
    masks = Configuration.read(path).make_network().description.connectivity
    assert masks["w_rec"][:5, 5:].all() and masks["w_rec"].sum() == 15
    assert masks["w_in"][:, :5].all() and not masks["w_in"][:, 5:].any()
    assert masks["w_out"][5:].all() and not masks["w_out"][:5].any()


@pytest.mark.parametrize("value", [0.02, 1 / 3, 0.1 + 0.2, 1e-9, 12345.678, 0.0])
@pytest.mark.parametrize("unit", [second, Hz])
def test_quantities_read_back_to_the_same_bits(value, unit):
    from brian_eprop.quantities import quantity
    from brian_eprop.runs.values import to_toml

    text = to_toml(value * unit)
    assert isinstance(text, str)
    assert float(quantity(text)) == value


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        ("order = 0", r"EProp.order = 0"),
        ("goals = 0.1", "did you mean 'goal'"),
        ("gains = { w_recc = 1.0 }", "did you mean 'w_rec'"),
        ('gains = { w_rec = "random" }', "setup.gains.w_rec = 'random' must be a finite number"),
        ("evaluate_every = 0", "evaluate_every = 0 must be an integer ≥ 1"),
        ("patience = 1.5", "patience = 1.5 must be an integer ≥ 1"),
        ('max_rate = "10*second"', "must be a rate"),
        ('learning_rate = { kind = "StepDeca", start = 1 }', "did you mean 'StepDecay'"),
        ('learning_rate = { kind = "StepDecay", start = 1 }', "StepDecay: .*factor"),
        ('learning_rate = { kind = "StepDecay", strt = 1 }', "did you mean 'start'"),
        ('constraints = [{ kind = "Dale" }]', "did you mean 'DaleLaw'"),
        ('constraints = [{ kind = "DaleLaw", inhibitory = [3] }]', "3"),
        ('trainable = "tau_m"', "must be a table"),
        ('trainable = { tau_n = ["5*ms", "50*ms"] }', "did you mean 'tau_m'"),
        (
            'connectivity = { w_rce = { kind = "fixed_degree", degree = 2 } }',
            "did you mean 'w_rec'",
        ),
        ('connectivity = { w_rec = { kind = "fixed_degre", degree = 2 } }', "fixed_degree"),
        (
            'connectivity = { w_rec = { kind = "fixed_degree", density = 2 } }',
            "the keys are degree",
        ),
        ('connectivity = { w_rec = { kind = "fixed_degree", degree = 2000 } }', "2000"),
        ('delays = { w_rec = "2*mV" }', "must be a time"),
        ('delays = { w_rec = ["9*ms", "1*ms"] }', "the smaller is first"),
        ('delays = { w_rec = ["0.5*ms", "1*ms"] }', "is not a multiple of the time step"),
        ('delays = { w_fb = "2*ms" }', "w_fb"),
        ('neurons = [{ model = "lif" }]', "'setup.neurons.count' is missing"),
        ('neurons = [{ model = "lif", count = "3" }]', "setup.neurons.count = '3' must be an int"),
        ('neurons = [{ model = "liff", count = 3 }]', "did you mean 'lif'"),
        (
            'neurons = [{ model = "lif", count = 3, parameters = { tau_mm = "3*ms" } }]',
            "did you mean 'tau_m'",
        ),
        (
            'neurons = [{ model = "lif", count = 3, parameters = { tau_m = "3*mV" } }]',
            "the unit is volt but must be second",
        ),
        ('tau_out = "20*mV"', "has the unit 'volt' but must be a time"),
        ('tau_out = "20*mss"', "did you mean 'ms'"),
        ('rate_target = "10*ms"\nrate_strength = 0.0', "must be a rate"),
        ('rate_strength = "1"', "strength = '1' must be a finite number"),
        ('loss = "mes"', "did you mean 'mse'"),
        ("feedback = 3", "setup.feedback = 3 is not known"),
        ('feedback = "symetric"', "did you mean 'symmetric'"),
        ('optimizer = "Adma"', "did you mean 'Adam'"),
        ('normalize = "yes"', "must be True or False"),
        (
            'trainable = { tau_m = ["5*mV", "50*mV"] }',
            "must be in the unit of the trained variable",
        ),
        ('trainable = { tau_m = "5*ms" }', "is not understood; give"),
        ('delays = { w_recc = ["1*ms", "2*ms"] }', "did you mean 'w_rec'"),
        ('constraints = [{ kind = ["DaleLaw"] }]', "did you mean 'DaleLaw'"),
        ('constraints = [{ knd = "DaleLaw" }]', r"kind' is missing; there is \['knd'\]"),
        ("connectivity = { layers = true, recurent = true }", "did you mean 'recurrent'"),
        ("connectivity = { layers = true, w_in = 3 }", "'setup.connectivity.w_in'"),
        ('connectivity = { layers = "yes" }', "must be True or False"),
        ('connectivity = { w_rec = { kind = "random_sparse", desity = 1 } }', "mean 'density'"),
    ],
)
def test_what_is_wrong_is_told_with_file_key_and_remedy(tmp_path, setup, message):
    path = tmp_path / "wrong.toml"
    path.write_text(f'task = "temporal_xor"\n[setup]\n{setup}\n')
    with pytest.raises(ValueError, match=message) as error:
        Configuration.read(path)
    assert str(error.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('tsk = "temporal_xor"', "did you mean 'task'"),
        ("seed = 1", "the key 'task' is missing"),
        ('task = "temporal_xro"', "did you mean 'temporal_xor'"),
        ('task = "temporal_xor"\nsed = 1', "did you mean 'seed'"),
        ('task = "temporal_xor"\nseed = "1"', "seed = '1' must be an integer"),
        ('task = "temporal_xor"\ndevice = "runtme"', "did you mean 'runtime'"),
        ('task = "temporal_xor"\n[setp]\norder = 1', "did you mean 'setup'"),
        ('task = "temporal_xor"\n[option]\ndelay = "40*ms"', "did you mean 'options'"),
        ('task = "temporal_xor"\n[options]\ndealy = "40*ms"', "did you mean 'delay'"),
        ('task = "temporal_xor"\n[options]\ndelay = "40*mV"', "has the unit 'volt' but must be"),
        ('task = "temporal_xor"\n[options]\ndelay = "40*mss"', "neither a number nor a quantity"),
        ('task = "temporal_xor"\n[sweep]\nseed = [1, 2]', "use 'brian-eprop sweep'"),
    ],
)
def test_what_is_wrong_outside_of_the_setup_is_told_in_the_same_way(tmp_path, content, message):
    path = tmp_path / "wrong.toml"
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        Configuration.read(path)
    assert str(error.value).startswith(f"{path}: ")
