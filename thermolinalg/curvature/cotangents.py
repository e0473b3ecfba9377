r"""Which matrix a curvature estimates: output gradients whose outer products are the Fisher information or the GGN."""

import numpy as np
from scipy.special import expit, softmax

from .. import _check
from .base import KINDS, semidefinite_eigh

LIKELIHOODS = ("softmax", "bernoulli", "gaussian")


def cotangents(kind: str, outputs, *, likelihood="softmax", labels=None, hessian=None, n_draws=1, rng=None):
    r"""Gradients c in output space such that ``F = sum_c (J^T c)(J^T c)^T`` is the curvature of that kind.

    Parameters
    ----------
    kind : {"exact", "ggn", "sampled", "empirical"}
        - "exact": the Fisher information, averaged over all labels under the model, ``k = p z`` cotangents a sample;
        - "ggn": the generalised Gauss-Newton matrix; for the likelihoods here, whose outputs are natural parameters,
          it is the exact Fisher information. Any other loss by `hessian`;
        - "sampled": an unbiased estimate of "exact" from `n_draws` labels drawn from the model, ``k = n_draws``;
        - "empirical": from the true labels, k = 1. Not an estimate of "exact": ``g^T F^-1 g`` is at most 1 for it,
          and exactly 1 for independent samples (Kunstner et al., arXiv:1905.12558).
    outputs : (b, z) or (b, p, z) array_like
        Natural parameters (logits; means of a unit normal) of p predictions for each of b samples.
    likelihood : {"softmax", "bernoulli", "gaussian"}
    labels : array_like, for "empirical"
        Classes (b,) or (b, p) for "softmax", else numbers of the shape of outputs.
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
        Unknown kind or likelihood; labels missing, of the wrong shape, or out of range.

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
    _check.choice(kind, "kind", KINDS)
    _check.choice(likelihood, "likelihood", LIKELIHOODS)
    outputs = _check.real_array(outputs, "outputs")
    if outputs.ndim not in (2, 3) or outputs.size == 0:
        raise ValueError(f"outputs must have shape (b, z) or (b, p, z), got {outputs.shape}")
    several = outputs.ndim == 3
    f = outputs if several else outputs[:, None]
    if kind in ("exact", "ggn"):
        roots = _hessian_roots(f, likelihood) if hessian is None else _given_roots(hessian, f, kind)
        c = _one_prediction_each(roots)
    else:
        draws = (f.shape[0], _check.count(n_draws, "n_draws"), *f.shape[1:])
        y = _draw(f, likelihood, draws, rng) if kind == "sampled" else _targets(labels, f, likelihood)[:, None]
        c = (y - _mean(f, likelihood)[:, None]) / np.sqrt(y.shape[1])
    c = c / np.sqrt(f.shape[0] * f.shape[1])
    return c if several else c[:, :, 0]


def _mean(f, likelihood):
    return {"softmax": lambda: softmax(f, axis=-1), "bernoulli": lambda: expit(f), "gaussian": lambda: f}[likelihood]()


def _hessian_roots(f, likelihood):
    """C (b, p, z, z), one root vector a row, with sum of outer products the Hessian of minus log likelihood."""
    mean, eye = _mean(f, likelihood), np.eye(f.shape[-1])
    if likelihood == "softmax":
        return np.sqrt(mean)[..., None] * (eye - mean[..., None, :])
    scale = np.sqrt(mean * (1.0 - mean)) if likelihood == "bernoulli" else np.ones_like(mean)
    return scale[..., None] * eye


def _given_roots(hessian, f, kind):
    if kind != "ggn":
        raise ValueError('hessian is for kind="ggn"; "exact" is that of the likelihood')
    hessian = _check.real_array(hessian, "hessian")
    shape = (*f.shape, f.shape[-1])
    if hessian.size != np.prod(shape) or hessian.shape[-2:] != shape[-2:]:
        raise ValueError(
            f"hessian must hold one ({f.shape[-1]}, {f.shape[-1]}) block a prediction, got {hessian.shape}"
        )
    pairs = (
        semidefinite_eigh(_check.symmetric(block, "hessian"), "hessian") for block in hessian.reshape(-1, *shape[-2:])
    )
    return np.stack([(vectors * np.sqrt(values)).T for values, vectors in pairs]).reshape(shape)


def _one_prediction_each(roots):
    """(b, p, z, z) roots to (b, p z, p, z) cotangents, each of which touches one prediction only."""
    b, p, z, _ = roots.shape
    out = np.zeros((b, p, z, p, z))
    for i in range(p):
        out[:, i, :, i] = roots[:, i]
    return out.reshape(b, p * z, p, z)


def _draw(f, likelihood, draws, rng):
    rng = _check.generator(rng)
    mean = np.broadcast_to(_mean(f, likelihood)[:, None], draws)
    if likelihood == "gaussian":
        return mean + rng.standard_normal(draws)
    uniform = rng.random(draws if likelihood == "bernoulli" else (*draws[:-1], 1))
    if likelihood == "bernoulli":
        return (uniform < mean).astype(float)
    label = (uniform > np.cumsum(mean, axis=-1)[..., :-1]).sum(axis=-1)
    return np.eye(draws[-1])[label]


def _targets(labels, f, likelihood):
    if labels is None:
        raise ValueError('kind="empirical" needs labels: it is made of the gradients at the true labels')
    labels = _check.real_array(labels, "labels")
    if likelihood != "softmax":
        if labels.size != f.size:
            raise ValueError(f"labels must have the shape of outputs, {f.shape}, got {labels.shape}")
        return labels.reshape(f.shape)
    z = f.shape[-1]
    if labels.size != f.shape[0] * f.shape[1]:
        raise ValueError(f"labels must be one class for each of {f.shape[:2]} predictions, got shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= z or np.any(labels != np.rint(labels)):
        raise ValueError(f"labels must be classes 0 to {z - 1}, got {labels.min():g} to {labels.max():g}")
    return np.eye(z)[labels.reshape(f.shape[:2]).astype(int)]
