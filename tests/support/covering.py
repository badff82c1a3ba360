"""Few cases of many options in which every pair of two options' values meets.

What is wrong in a combination of features is, almost always, wrong in a combination of two: so few
cases claim what the complete product does. The product itself is run with the profile of many
examples, ``--hypothesis-profile search``.
"""

import itertools

import numpy as np
import pytest
from hypothesis import settings

#: Whether all cases are run; the profile is chosen before tests are collected.
EVERY_CASE = settings().max_examples >= 500


def values(case):
    return set(case.items())


def pairs(case):
    return set(itertools.combinations(case.items(), 2))


def product(factors, allowed=lambda case: True):
    """All cases {factor: value} of {factor: values}, but for those that are not allowed."""
    cases = (
        dict(zip(factors, chosen, strict=True)) for chosen in itertools.product(*factors.values())
    )
    return [case for case in cases if allowed(case)]


def all_pairs(factors, allowed=lambda case: True):
    """Every pair of values of two factors that some case may have."""
    return set().union(*map(pairs, product(factors, allowed)))


def covering(factors, allowed=lambda case: True, seed=0):
    """Few cases in which every pair of values occurs, the same ones every time."""
    rng = np.random.default_rng(seed)
    left, cases = all_pairs(factors, allowed), []
    while left:
        # each candidate begins with a pair that is still missing
        start = dict(sorted(left, key=str)[0])
        best, gain = None, -1
        for _ in range(200):
            case = {n: start.get(n, v[rng.integers(len(v))]) for n, v in factors.items()}
            if allowed(case) and len(pairs(case) & left) > gain:
                best, gain = case, len(pairs(case) & left)
        cases.append(best)
        left -= pairs(best)
    return cases


def with_every_value(cases):
    """Those of the cases {name: case} that are needed for every value to occur."""
    left, names = set().union(*map(values, cases.values())), []
    while left:
        names.append(max(cases, key=lambda name: len(values(cases[name]) & left)))
        left -= values(cases[names[-1]])
    return names


def parametrize_pairs(**factors):
    """A test of few cases with every pair of values of its arguments."""
    cases = product(factors) if EVERY_CASE else covering(factors)
    return pytest.mark.parametrize(tuple(factors), [tuple(case.values()) for case in cases])
