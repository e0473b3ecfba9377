r"""Which matrix a curvature estimates: output gradients whose outer products are the Fisher information or the GGN."""

import numpy as np
import scipy

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from .base import KINDS, semidefinite_eigh

LIKELIHOODS = ("softmax", "bernoulli", "gaussian")


def cotangents(
    kind: str,
    outputs: ArrayLike,
    *,
    likelihood: str = "softmax",
    labels: ArrayLike | None = None,
    hessian: ArrayLike | None = None,
    n_draws: int = 1,
    rng: RNGLike = None,
) -> FloatArray:
    r"""Gradients c in output space such that ``F = sum_c (J^T c)(J^T c)^T`` is the curvature of that kind.

    Parameters
    ----------
    kind : {"exact", "ggn", "sampled", "empirical"}
        - "exact": the Fisher information, averaged over all labels under the model, ``k = p z`` cotangents a sample;
        - "ggn": the generalised Gauss-Newton matrix; for the likelihoods here, whose outputs are natural parameters,
          it is the exact Fisher information. Any other loss by `hessian`;
        - "sampled": an unbiased estimate of "exact" from `n_draws` labels drawn from the model, ``k = n_draws``;
        - "empirical": from the true labels, k = 1. Not an estimate of "exact": ``g^T F^-1 g`` of the mean gradient
          is at most 1/p for it, and exactly that for independent samples (Kunstner et al., arXiv:1905.12558).
    outputs : (b, z) or (b, p, z) array_like
        Natural parameters (logits; means of a unit normal) of p predictions for each of b samples.
    likelihood : {"softmax", "bernoulli", "gaussian"}
    labels : array_like, for "empirical"
        Classes (b,) or (b, p) for "softmax", else numbers of the shape of outputs, 0 to 1 for "bernoulli".
    hessian : (b, z, z) or (b, p, z, z) array_like, for "ggn"
        Of the loss of each prediction in its outputs, positive semidefinite; default that of the likelihood.
    n_draws : int
        For "sampled".
    rng : optional
        For "sampled": anything `numpy.random.default_rng` takes.

    Returns
    -------
    (b, k, z) or (b, k, p, z) array
        With the 1 / (b p) of a mean over predictions in them (as its root), once. Gradients of several predictions of
        one sample are summed before the outer product: exact in expectation for "sampled", whose draws are independent.

    Raises
    ------
    ValueError
        Unknown kind or likelihood; labels missing, of the wrong shape, or out of range; hessian for another kind than
        "ggn".

    See Also
    --------
    LowRankCurvature : Takes the rows ``J^T c``.
    kronecker_factors : Takes c carried back to a layer.

    Notes
    -----
    Softmax: ``H = diag(p) - p p^T = C C^T`` with columns ``c_j = sqrt(p_j) (e_j - p)``.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> c = tl.curvature.cotangents("exact", np.zeros((1, 2)))[0]
    >>> c.T @ c
    array([[ 0.25, -0.25], [-0.25,  0.25]])
    """
    _validation.choice(kind, "kind", KINDS)
    _validation.choice(likelihood, "likelihood", LIKELIHOODS)
    outputs = _validation.real_array(outputs, "outputs")
    if outputs.ndim not in (2, 3) or outputs.size == 0:
        raise ValueError(f"outputs must have shape (b, z) or (b, p, z), got {outputs.shape}")
    several = outputs.ndim == 3
    f = outputs if several else outputs[:, None]
    if hessian is not None and kind != "ggn":
        raise ValueError(f'hessian is for kind="ggn"; {kind!r} is that of the likelihood')
    if kind in ("exact", "ggn"):
        roots = _hessian_roots(f, likelihood) if hessian is None else _given_roots(hessian, outputs)
        c = _one_prediction_each(roots)
    else:
        draws = (f.shape[0], _validation.count(n_draws, "n_draws"), *f.shape[1:])
        y = _draw(f, likelihood, draws, rng) if kind == "sampled" else _targets(labels, outputs, likelihood)
        y = y.reshape(f.shape[0], -1, *f.shape[1:])
        c = (_mean(f, likelihood)[:, None] - y) / np.sqrt(y.shape[1])
    c = c / np.sqrt(f.shape[0] * f.shape[1])
    return c if several else c[:, :, 0]


def _mean(f: FloatArray, likelihood: str) -> FloatArray:
    if likelihood == "softmax":
        return scipy.special.softmax(f, axis=-1)
    return scipy.special.expit(f) if likelihood == "bernoulli" else f


def _hessian_roots(f: FloatArray, likelihood: str) -> FloatArray:
    """C (b, p, z, z), one root vector a row, with sum of outer products the Hessian of minus log likelihood."""
    mean, eye = _mean(f, likelihood), np.eye(f.shape[-1])
    if likelihood == "softmax":
        return np.sqrt(mean)[..., None] * (eye - mean[..., None, :])
    # 1 - mean would cancel
    scale = np.sqrt(mean * scipy.special.expit(-f)) if likelihood == "bernoulli" else np.ones_like(mean)
    return scale[..., None] * eye


def _given_roots(hessian: ArrayLike, outputs: FloatArray) -> FloatArray:
    given, hessian = np.asarray(hessian), _validation.real_array(hessian, "hessian")
    b, z = len(outputs), outputs.shape[-1]
    if hessian.shape != (*outputs.shape, z):
        raise ValueError(
            f"hessian must hold one ({z}, {z}) block per prediction, shape {(*outputs.shape, z)}, got {hessian.shape}"
        )
    blocks = (_validation.symmetric(block, "hessian") for block in given.reshape(-1, z, z))
    pairs = (semidefinite_eigh(block, "hessian") for block in blocks)
    return np.stack([(vectors * np.sqrt(values)).T for values, vectors in pairs]).reshape(b, -1, z, z)


def _one_prediction_each(roots: FloatArray) -> FloatArray:
    """(b, p, z, z) roots to (b, p z, p, z) cotangents, each of which touches one prediction only."""
    b, p, z, _ = roots.shape
    out = np.zeros((b, p, z, p, z))
    for i in range(p):
        out[:, i, :, i] = roots[:, i]
    return out.reshape(b, p * z, p, z)


def _draw(f: FloatArray, likelihood: str, draws: tuple[int, ...], rng: RNGLike) -> FloatArray:
    rng = _validation.generator(rng)
    mean = np.broadcast_to(_mean(f, likelihood)[:, None], draws)
    if likelihood == "gaussian":
        return mean + rng.standard_normal(draws)
    uniform = rng.random(draws if likelihood == "bernoulli" else (*draws[:-1], 1))
    if likelihood == "bernoulli":
        return (uniform < mean).astype(float)
    label = (uniform > np.cumsum(mean, axis=-1)[..., :-1]).sum(axis=-1)
    return np.eye(draws[-1])[label]


def _targets(labels: ArrayLike | None, outputs: FloatArray, likelihood: str) -> FloatArray:
    """What the model should have put out, as the mean of the likelihood is: shaped like outputs."""
    if labels is None:
        raise ValueError('kind="empirical" needs labels: it is made of the gradients at the true labels')
    labels = _validation.real_array(labels, "labels")
    shape = outputs.shape[:-1] if likelihood == "softmax" else outputs.shape
    if labels.shape != shape:
        what = "one class for each prediction" if likelihood == "softmax" else "numbers of the shape of outputs"
        raise ValueError(f"labels must be {what}, {shape}, got shape {labels.shape}")
    if likelihood == "gaussian":
        return labels
    top = outputs.shape[-1] - 1 if likelihood == "softmax" else 1
    whole = likelihood == "bernoulli" or np.array_equal(labels, np.rint(labels))
    if labels.min() < 0 or labels.max() > top or not whole:
        what = "classes" if likelihood == "softmax" else "probabilities"
        numbers = "" if whole else ", whole numbers"
        raise ValueError(f"labels must be {what} 0 to {top}{numbers}, got {labels.min():g} to {labels.max():g}")
    return labels if likelihood == "bernoulli" else np.eye(top + 1)[labels.astype(int)]
