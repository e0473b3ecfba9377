"""The thread pool: order, one generator a task, nothing shared."""

import threading
import time

import numpy as np
import pytest

from thermolinalg.numerics.threads import ThreadTeam, parts, run_chains


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


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 1000])
@pytest.mark.parametrize("most", [1, 7, 64])
def test_parts_cover_the_range_in_nearly_equal_sizes(n, most):
    cut = parts(n, most)
    assert [i for part in cut for i in range(part.start, part.stop)] == list(range(n))
    sizes = [part.stop - part.start for part in cut]
    assert len(cut) == -(-n // most)
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_an_interrupt_ends_the_others_after_what_they_are_at():
    begun, started = threading.Event(), []

    def interrupted():
        begun.wait(20)
        raise KeyboardInterrupt

    def slow(k):
        started.append(k)
        begun.set()
        time.sleep(0.001)

    tasks = [interrupted, *(lambda k=k: slow(k) for k in range(1000))]
    with ThreadTeam(2) as team, pytest.raises(KeyboardInterrupt):
        team.run(tasks)
    assert 0 < len(started) < 1000
