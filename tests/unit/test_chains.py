"""The thread pool: order, one generator a task, nothing shared."""

import threading

import numpy as np
import pytest

from thermolinalg._chains import run_chains


def draw(generator, task):
    return task, generator.standard_normal(3)


@pytest.mark.parametrize("workers", [1, 2, 4, 100, None])
def test_results_in_order_with_the_same_bits(workers, seed):
    found = run_chains(draw, np.random.default_rng(seed), range(9), workers)
    children = np.random.default_rng(seed).spawn(9)
    assert [task for task, _ in found] == list(range(9))
    for (_, numbers), child in zip(found, children, strict=True):
        np.testing.assert_array_equal(numbers, child.standard_normal(3))


def test_no_two_tasks_share_numbers(rng):
    numbers = np.concatenate([x for _, x in run_chains(draw, rng, range(50), 2)])
    assert np.unique(numbers).size == 150


def test_two_workers_are_two_threads(rng):
    """Each of two tasks waits for the other: one thread alone would wait for ever."""
    barrier = threading.Barrier(2, timeout=20)
    run_chains(lambda generator, task: barrier.wait(), rng, range(2), 2)


def test_an_error_in_a_chain_comes_out(rng):
    def fail(generator, task):
        raise ValueError(f"chain {task}")

    for workers in (1, 2):
        with pytest.raises(ValueError, match="chain 0"):
            run_chains(fail, rng, range(3), workers)
