"""Matrices with known answers, for scripts, tests and benchmarks. All symmetric positive definite."""

import numpy as np
import scipy.linalg
import scipy.sparse

from . import _validation
from ._typing import ArrayLike, RNGLike


def wishart(d: int, degrees: int | None = None, rng: RNGLike = None) -> np.ndarray:
    """Wishart matrix ``G G^T / degrees`` with a (d, degrees) Gaussian G.

    Parameters
    ----------
    d : int
        Dimension.
    degrees : int, optional
        Degrees of freedom, at least d; default 2 d, the ensemble of Aifer et al. (arXiv:2308.05660), whose condition
        number tends to ((1 + sqrt(1/2)) / (1 - sqrt(1/2)))^2 = 34.
    rng : {None, int, Generator, ...}, optional
        Passed to `numpy.random.default_rng`.

    Returns
    -------
    (d, d) ndarray

    Raises
    ------
    ValueError
        d < 1 or degrees < d.

    See Also
    --------
    with_condition : A condition number of choice.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.problems.wishart(3, rng=0).shape
    (3, 3)
    """
    d = _validation.count(d, "d")
    degrees = 2 * d if degrees is None else _validation.count(degrees, "degrees", least=d)
    G = _validation.generator(rng).standard_normal((d, degrees))
    return G @ G.T / degrees


def with_spectrum(eigenvalues: ArrayLike, rng: RNGLike = None) -> np.ndarray:
    """A matrix with the given eigenvalues and eigenvectors drawn uniformly (Haar).

    Parameters
    ----------
    eigenvalues : (d,) array_like
        Positive.
    rng : {None, int, Generator, ...}, optional
        Passed to `numpy.random.default_rng`.

    Returns
    -------
    (d, d) ndarray

    Raises
    ------
    ValueError
        An eigenvalue that is not positive.

    See Also
    --------
    with_condition : Eigenvalues spaced evenly in the logarithm.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = tl.problems.with_spectrum([1.0, 2.0, 5.0], rng=0)
    >>> np.linalg.eigvalsh(A).round(12)
    array([1., 2., 5.])
    """
    eigenvalues = _validation.vector(eigenvalues, "eigenvalues")
    if eigenvalues.min() <= 0:
        raise ValueError(f"eigenvalues must be positive, got {eigenvalues.min()}")
    d = eigenvalues.size
    Q, R = np.linalg.qr(_validation.generator(rng).standard_normal((d, d)))
    Q *= np.sign(np.diag(R))  # makes the law of Q uniform
    A = (Q * eigenvalues) @ Q.T
    return (A + A.T) / 2.0


def with_condition(d: int, kappa: float, rng: RNGLike = None) -> np.ndarray:
    """A matrix of norm 1 with eigenvalues spaced evenly in the logarithm from 1/kappa to 1.

    Parameters
    ----------
    d : int
        Dimension.
    kappa : float
        Condition number, at least 1.
    rng : {None, int, Generator, ...}, optional
        Passed to `numpy.random.default_rng`.

    Returns
    -------
    (d, d) ndarray

    Raises
    ------
    ValueError
        d < 1 or kappa < 1.

    See Also
    --------
    with_spectrum : Any eigenvalues.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> float(np.linalg.cond(tl.problems.with_condition(5, 100.0, rng=0)).round(6))
    100.0
    """
    d, kappa = _validation.count(d, "d"), _validation.positive(kappa, "kappa")
    if kappa < 1:
        raise ValueError(f"kappa must be at least 1, got {kappa}")
    return with_spectrum(np.geomspace(1.0 / kappa, 1.0, d), rng)


def laplacian(*grid: int) -> scipy.sparse.csr_array:
    """Negative Laplacian with Dirichlet boundaries on a grid of 1 to 3 dimensions, unit spacing.

    Parameters
    ----------
    *grid : int
        Points along each axis.

    Returns
    -------
    (d, d) csr_array
        d is the product of the numbers of points; eigenvalues in `laplacian_eigenvalues`.

    Raises
    ------
    ValueError
        No axis, more than three, or fewer than 1 point.

    See Also
    --------
    laplacian_eigenvalues : Its spectrum in closed form.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.problems.laplacian(3).toarray()
    array([[ 2., -1.,  0.],
           [-1.,  2., -1.],
           [ 0., -1.,  2.]])
    """
    total = scipy.sparse.csr_array((1, 1), dtype=float)
    for n in _grid(grid):
        line = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n), format="csr")
        total = scipy.sparse.kron(total, scipy.sparse.eye_array(n)) + scipy.sparse.kron(
            scipy.sparse.eye_array(total.shape[0]), line
        )
    return scipy.sparse.csr_array(total)


def laplacian_eigenvalues(*grid: int) -> np.ndarray:
    """Eigenvalues of `laplacian`: sums over the axes of 4 sin^2(pi k / (2 (n + 1))), k = 1 .. n.

    Parameters
    ----------
    *grid : int
        Points along each axis.

    Returns
    -------
    (d,) ndarray
        Ascending.

    Raises
    ------
    ValueError
        As `laplacian`.

    See Also
    --------
    laplacian : The matrix.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.problems.laplacian_eigenvalues(3).round(6)
    array([0.585786, 2.      , 3.414214])
    """
    total = np.zeros(1)
    for n in _grid(grid):
        total = np.add.outer(total, 4.0 * np.sin(np.pi * np.arange(1, n + 1) / (2.0 * (n + 1))) ** 2).ravel()
    return np.sort(total)


def _grid(grid: tuple[int, ...]) -> list[int]:
    if not 1 <= len(grid) <= 3:
        raise ValueError(f"a Laplacian has 1 to 3 axes, got {len(grid)}")
    return [_validation.count(n, "points along an axis") for n in grid]


def mikota(d: int) -> np.ndarray:
    """Stiffness matrix of Mikota's chain of d springs: tridiagonal, ill conditioned (kappa about d^2 or more).

    Springs k_i = d + 1 - i and masses m_i = 1/i give the eigenfrequencies 1, 2, .., d exactly: the eigenvalues of
    M^-1/2 K M^-1/2 are 1, 4, .., d^2. This is K, whose inverse is K^-1_ij = sum_{k <= min(i, j)} 1/k_k.

    Parameters
    ----------
    d : int
        Springs.

    Returns
    -------
    (d, d) ndarray

    Raises
    ------
    ValueError
        d < 1.

    See Also
    --------
    toeplitz, laplacian : Other matrices known in closed form.

    References
    ----------
    Mikota, "Frequency tuning of chain structure multibody oscillators ...", ZAMM 81 (2001) S201.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.problems.mikota(3)
    array([[ 5., -2.,  0.],
           [-2.,  3., -1.],
           [ 0., -1.,  1.]])
    """
    d = _validation.count(d, "d")
    springs = d + 1.0 - np.arange(1, d + 1)
    after = np.append(springs[1:], 0.0)
    return np.diag(springs + after) - np.diag(springs[1:], 1) - np.diag(springs[1:], -1)


def toeplitz(d: int, rho: float = 0.9) -> np.ndarray:
    """The correlation matrix rho^|i-j| of an AR(1) series (Kac-Murdock-Szego); its inverse is tridiagonal.

    Parameters
    ----------
    d : int
        Dimension.
    rho : float
        Correlation of neighbours, 0 < rho < 1.

    Returns
    -------
    (d, d) ndarray

    Raises
    ------
    ValueError
        d < 1 or rho outside (0, 1).

    See Also
    --------
    mikota, laplacian : Other matrices known in closed form.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.problems.toeplitz(3, 0.5)
    array([[1.  , 0.5 , 0.25],
           [0.5 , 1.  , 0.5 ],
           [0.25, 0.5 , 1.  ]])
    """
    d, rho = _validation.count(d, "d"), _validation.positive(rho, "rho")
    if rho >= 1:
        raise ValueError(f"rho must lie between 0 and 1, got {rho}")
    return scipy.linalg.toeplitz(rho ** np.arange(d))
