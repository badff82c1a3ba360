"""Every cell: exact rules agree with each other, with finite differences and with autograd."""


import pytest
from cell_networks import ALL, cell_network, cell_task, gradient, relative

from brian_eprop.reference import RULES

# two orders of summation of the same float64 numbers
ROUND_OFF = 1e-12
EXACT = [name for name, rule in RULES.items() if rule.exact and name != "bptt"]


def everything(network):
    return tuple(network.parameters)


@pytest.mark.parametrize("rule", EXACT)
@pytest.mark.parametrize("name", ALL)
def test_exact_rules_agree(name, rule):
    for seed, options in (
        (1, {}),
        (2, {"loss": "cross_entropy", "kappa": 0.8}),
        (3, {"density": 0.5}),
    ):
        network = cell_network(name, seed, **options)
        task = cell_task(network, seed)
        bptt = gradient(network, task, "bptt")
        assert (
            relative(gradient(network, task, rule), bptt, network, everything(network)) < ROUND_OFF
        )
