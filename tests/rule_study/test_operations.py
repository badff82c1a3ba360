"""Counted operations are those that are really done."""

import numpy as np
import pytest

from brian_eprop.rule_study.operations import count, counted, note


def operations(function, *arrays):
    with count() as counter:
        function(*map(counted, arrays))
    return sum(counter)


M, K, N = 3, 4, 5
A, B, X = np.ones((M, K)), np.ones((K, N)), np.ones((2, M, K))


@pytest.mark.parametrize(
    ("function", "arrays", "expected"),
    [
        (lambda a: a + 1, [A], M * K),
        (lambda a: np.exp(a), [A], M * K),
        (lambda a: 2 * a + a, [A], 2 * M * K),
        (lambda a, b: a @ b, [A, B], 2 * M * K * N),
        (lambda x, b: x @ b, [X, B], 2 * 2 * M * K * N),
        (lambda a: a.sum(), [A], M * K),
        (lambda a: np.sum(a, axis=0), [A], M * K),
        (lambda a, b: np.einsum("ij,jk->ik", a, b), [A, B], 2 * M * K * N),
        # no sum: one product for each entry
        (lambda a, b: np.einsum("ij,jk->ijk", a, b), [A, B], M * K * N),
        (lambda a, x: np.einsum("ij,bij->ij", a, x), [A, X], 2 * 2 * M * K),
        (lambda a, x: np.einsum("ij,bi...->bj...", a, x), [A, X], 2 * 2 * M * K * K),
        (lambda a, b: np.tensordot(a, b, axes=([1], [0])), [A, B], 2 * M * K * N),
        # only moves numbers
        (lambda a: a.T.reshape(-1)[::2], [A], 0),
        (lambda a: np.concatenate([a, a]), [A], 0),
    ],
)
def test_operations_are_counted(function, arrays, expected):
    assert operations(function, *arrays) == expected


def test_results_are_the_same_and_counted_themselves():
    with count() as counter:
        product = counted(A) @ counted(B)
        first = sum(counter)
        total = product * 2
        assert sum(counter) == first + M * N
    np.testing.assert_array_equal(total, 2 * (A @ B))


def test_in_place_operations_are_counted_and_done():
    array = counted(np.ones(6))
    with count() as counter:
        array += 2
    assert sum(counter) == 6
    np.testing.assert_array_equal(np.asarray(array), 3)


def test_nothing_is_counted_outside_and_notes_add_up():
    before = counted(A) @ counted(B)
    with count() as outer, count() as inner:
        note(7)
    assert (sum(outer), sum(inner)) == (7, 7)
    assert before.shape == (M, N)


def test_decompositions_have_a_cost():
    with count() as counter:
        np.linalg.qr(counted(np.random.default_rng(0).normal(size=(2, 6, 3))))
    assert sum(counter) == 2 * 4 * 6 * 9
