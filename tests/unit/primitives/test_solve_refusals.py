"""Everything that `solve` refuses, with what it says."""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl

GOOD = {"A": [[2.0, 0.0], [0.0, 1.0]], "b": [1.0, 1.0], "duration": 1.0, "rng": 0}


def change(**options):
    return {key: value for key, value in (GOOD | options).items() if value is not None}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        # shapes
        ({"A": np.ones((2, 3))}, r"A must be a square matrix of shape \(d, d\), got \(2, 3\)"),
        ({"A": np.ones(4)}, r"A must be a square matrix of shape \(d, d\), got \(4,\)"),
        ({"A": 2.0}, r"A must be a square matrix of shape \(d, d\), got \(\)"),
        ({"A": np.zeros((0, 0)), "b": []}, r"got \(0, 0\)"),
        ({"b": [1.0, 1.0, 1.0]}, r"b must have shape \(2,\) or \(2, k\), got \(3,\)"),
        ({"b": 1.0}, r"b must have shape \(2,\) or \(2, k\), got \(\)"),
        ({"b": np.ones((2, 0))}, r"b must have shape \(2,\) or \(2, k\), got \(2, 0\)"),
        ({"b": np.ones((2, 1, 1))}, r"got \(2, 1, 1\)"),
        ({"x0": np.ones(3)}, r"x0 must have shape \(2,\) or \(2, k\), got \(3,\)"),
        ({"x0": np.ones((2, 2))}, r"x0 must have the shape of b, \(2,\), or \(2,\), got \(2, 2\)"),
        ({"b": np.ones((2, 3)), "x0": np.ones((2, 2))}, r"x0 must have the shape of b, \(2, 3\), or \(2,\)"),
        # numbers that are none
        ({"A": [[np.nan, 0.0], [0.0, 1.0]]}, r"A must be finite, got nan at index \(0, 0\)"),
        ({"A": [[1.0, 0.0], [0.0, -np.inf]]}, r"A must be finite, got -inf at index \(1, 1\)"),
        ({"b": [1.0, np.nan]}, r"b must be finite, got nan at index \(1,\)"),
        ({"x0": [np.inf, 0.0]}, r"x0 must be finite, got inf at index \(0,\)"),
        ({"A": scipy.sparse.csr_array([[np.nan]]), "b": [1.0]}, "A.data must be finite"),
        # complex and other types
        (
            {"A": [[1.0, 1j], [-1j, 1.0]]},
            "A must be real, got dtype complex128; split it into real and imaginary parts",
        ),
        ({"b": [1.0, 1j]}, "b must be real, got dtype complex128"),
        ({"A": scipy.sparse.csr_array([[1.0 + 1j]]), "b": [1.0]}, "A.data must be real"),
        ({"b": ["one", "two"]}, "b must hold numbers"),
        ({"A": np.array([None])}, "A must hold numbers, got dtype object"),
        # symmetry
        ({"A": [[2.0, 0.3], [0.1, 1.0]]}, r"A must be symmetric, but max \|A - A.T\| = 0.2 \(largest entry 2\)"),
        ({"A": scipy.sparse.csr_array([[2.0, 0.3], [0.1, 1.0]])}, r"A must be symmetric, but .* of its scale"),
        # definiteness
        ({"A": [[1.0, 2.0], [2.0, 1.0]]}, "A is not positive definite: its smallest eigenvalue is -1 "),
        ({"A": [[1.0, 1.0], [1.0, 1.0]]}, "A is singular to working precision: its smallest eigenvalue is"),
        ({"A": np.zeros((2, 2))}, "A is singular to working precision: its smallest eigenvalue is 0 "),
        ({"A": -np.eye(2)}, "A is not positive definite: its smallest eigenvalue is -1 "),
        ({"A": scipy.sparse.csr_array([[1.0, 2.0], [2.0, 1.0]])}, "Lanczos met the Ritz value -"),
        # exactly one of three
        ({"duration": None}, "give exactly one of duration, n_reads, rtol; got none"),
        ({"n_reads": 3}, "give exactly one of duration, n_reads, rtol; got duration and n_reads"),
        ({"rtol": 0.1}, "give exactly one of duration, n_reads, rtol; got duration and rtol"),
        ({"n_reads": 3, "rtol": 0.1}, "got duration and n_reads and rtol"),
        ({"read_spacing": 1.0}, "read_spacing goes with n_reads or rtol"),
        # beta or device
        (
            {"beta": 1.0, "device": tl.Device(beta=4.0)},
            "give beta or device, not both: the device has its own beta = 4.0",
        ),
        ({"device": 3}, "device must be a Device, got 3"),
        ({"beta": 0.0}, "beta must be positive, got 0.0"),
        ({"beta": -2.0}, "beta must be positive, got -2.0"),
        ({"beta": "1"}, "beta must be a number, got '1'"),
        # times and counts
        ({"duration": 0.0}, "duration must be positive and finite, got 0.0"),
        ({"duration": -1}, "duration must be positive and finite, got -1"),
        ({"duration": np.nan}, "duration must be positive and finite, got nan"),
        ({"duration": np.inf}, "duration must be positive and finite, got inf"),
        ({"duration": "long"}, "duration must be a number, got 'long'"),
        ({"duration": None, "n_reads": 0}, "n_reads must be at least 1, got 0"),
        ({"duration": None, "n_reads": 2.5}, "n_reads must be an integer, got 2.5"),
        ({"duration": None, "n_reads": "many"}, "n_reads must be an integer, got 'many'"),
        ({"duration": None, "n_reads": 2, "read_spacing": 0.0}, "read_spacing must be positive and finite, got 0.0"),
        ({"duration": None, "rtol": 0.0}, "rtol must be positive and finite, got 0.0"),
        ({"duration": None, "rtol": -0.1}, "rtol must be positive and finite, got -0.1"),
        ({"burn_in": -1.0}, r'burn_in \(or "auto"\) must be non-negative and finite, got -1.0'),
        ({"burn_in": np.inf}, r'burn_in \(or "auto"\) must be non-negative and finite, got inf'),
        ({"burn_in": "long"}, r"burn_in \(or a number\) must be one of 'auto', got 'long'"),
        ({"n_chains": 0}, "n_chains must be at least 1, got 0"),
        # words
        ({"simulator": "quantum"}, "simulator must be one of 'auto', 'law', 'path', got 'quantum'"),
        ({"simulator": 1}, "simulator must be one of 'auto', 'law', 'path', got 1"),
        ({"rng": "seed"}, "rng must be None, an int, a SeedSequence or a Generator, got 'seed'"),
        ({"rng": -1}, "rng must be None, an int, a SeedSequence or a Generator, got -1"),
    ],
)
def test_bad_input_is_refused_with_its_name_and_value(options, message):
    arguments = change(**options)
    A, b = arguments.pop("A"), arguments.pop("b")
    with pytest.raises(ValueError, match=message):
        tl.solve(A, b, **arguments)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "all"])
def test_workers_must_be_a_count(workers):
    with pytest.raises(ValueError, match="workers must be"):
        tl.solve(np.eye(2), np.ones(2), n_reads=5, n_chains=3, simulator="path", workers=workers)


def test_everything_else_is_keyword_only():
    with pytest.raises(TypeError):
        tl.solve(np.eye(2), np.ones(2), 10.0)


def test_a_result_that_is_not_finite_raises():
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="is not finite"):
        tl.solve([[1e-10]], [1e305], duration=1e12, beta=np.inf)
