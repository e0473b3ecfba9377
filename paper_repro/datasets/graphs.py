"""The adjacency that graph networks average over, and Zachary's karate club."""

import numpy as np

from .learning import LearningData

MEMBERS = 34
INSTRUCTOR, OFFICER = 0, 33

# For each member, 0 to 33, the friends with a larger number.
_FRIENDS = {
    0: (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 17, 19, 21, 31),
    1: (2, 3, 7, 13, 17, 19, 21, 30),
    2: (3, 7, 8, 9, 13, 27, 28, 32),
    3: (7, 12, 13),
    4: (6, 10),
    5: (6, 10, 16),
    6: (16,),
    8: (30, 32, 33),
    9: (33,),
    13: (33,),
    14: (32, 33),
    15: (32, 33),
    18: (32, 33),
    19: (33,),
    20: (32, 33),
    22: (32, 33),
    23: (25, 27, 29, 32, 33),
    24: (25, 27, 31),
    25: (31,),
    26: (29, 33),
    27: (33,),
    28: (31, 33),
    29: (32, 33),
    30: (32, 33),
    31: (32, 33),
    32: (33,),
}
KARATE_EDGES = tuple((member, friend) for member, friends in _FRIENDS.items() for friend in friends)
WITH_THE_INSTRUCTOR = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 16, 17, 19, 21)  # after the club had split


def normalised_adjacency(adjacency, mask=None) -> np.ndarray:
    """D^-1/2 (A + I) D^-1/2, D the diagonal of the row sums of A + I (Kipf and Welling, arXiv:1609.02907, Eq. 2).

    Parameters
    ----------
    adjacency : (..., p, p) array_like
        Symmetric, non-negative, without self-loops.
    mask : (..., p) array_like, optional
        1 for a node, 0 for padding, whose rows and columns stay zero.

    Returns
    -------
    (..., p, p) ndarray

    Raises
    ------
    ValueError
        For an adjacency that is not what it must be, or with bonds to padding.

    Examples
    --------
    >>> normalised_adjacency([[0, 1], [1, 0]])
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    A = np.asarray(adjacency, dtype=np.float64)
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"adjacency must have shape (..., p, p), got {A.shape}")
    if not np.array_equal(A, np.swapaxes(A, -1, -2)) or not (A >= 0).all():
        raise ValueError("adjacency must be symmetric and non-negative")
    if np.diagonal(A, axis1=-2, axis2=-1).any():
        raise ValueError("adjacency must have no self-loops; they are added here")
    nodes = np.ones(A.shape[:-1]) if mask is None else np.asarray(mask, dtype=np.float64)
    if nodes.shape != A.shape[:-1] or not np.isin(nodes, (0.0, 1.0)).all():
        raise ValueError(f"mask must be 0 or 1, of shape {A.shape[:-1]}, got shape {nodes.shape}")
    if (A * (1.0 - nodes)[..., None]).any():
        raise ValueError("adjacency has bonds to nodes that the mask calls padding")
    looped = A + nodes[..., None] * np.eye(A.shape[-1])
    degree = looped.sum(axis=-1)
    scale = np.where(degree > 0, 1.0 / np.sqrt(np.maximum(degree, 1.0)), 0.0)
    return scale[..., :, None] * looped * scale[..., None, :]


def karate_club(labelled=(INSTRUCTOR, OFFICER)) -> LearningData:
    """Zachary's karate club: one graph, which faction did each of the 34 members join when the club split?

    Friendships and factions of W. W. Zachary, An information flow model for conflict and fission in small groups, J.
    Anthropol. Res. 33, 452 (1977), without the weights of the friendships. Training and test set are the same graph (a
    transductive task): only the members in `labelled` have a label in training, the others are the test. One labelled
    member of each class, as in Kipf and Welling (arXiv:1609.02907, appendix A, with four communities found by
    modularity); that they are the two leaders is our choice.

    Parameters
    ----------
    labelled : sequence of ints
        Members, from 0, whose faction is known in training.

    Returns
    -------
    LearningData
        Inputs ``adjacency`` (1, 34, 34) normalised, ``raw_adjacency``, ``features`` (1, 34, 34) the identity, ``mask``
        (1, 34); labels (1, 34), 0 with the instructor, 1 with the officer; `train_mask` and `test_mask` (1, 34).

    Raises
    ------
    ValueError
        For members that do not exist, or none or all of them.

    Examples
    --------
    >>> data = karate_club()
    >>> int(data.train_inputs["raw_adjacency"].sum()) // 2, int(data.train_mask.sum()), int(data.test_mask.sum())
    (78, 2, 32)
    """
    members = np.asarray(labelled)
    if members.ndim != 1 or members.dtype.kind not in "iu" or not np.isin(members, np.arange(MEMBERS)).all():
        raise ValueError(f"labelled must be members, ints from 0 to {MEMBERS - 1}, got {labelled!r}")
    if not 0 < len(set(members.tolist())) < MEMBERS:
        raise ValueError(f"labelled must leave members for training and for testing, got {labelled!r}")
    adjacency = np.zeros((1, MEMBERS, MEMBERS))
    rows, columns = np.transpose(KARATE_EDGES)
    adjacency[0, rows, columns] = adjacency[0, columns, rows] = 1.0
    inputs = {
        "adjacency": normalised_adjacency(adjacency),
        "raw_adjacency": adjacency,
        "features": np.eye(MEMBERS)[None],
        "mask": np.ones((1, MEMBERS)),
    }
    labels = np.ones((1, MEMBERS), dtype=np.int64)
    labels[0, list(WITH_THE_INSTRUCTOR)] = 0
    known = np.zeros((1, MEMBERS), dtype=bool)
    known[0, members] = True
    return LearningData(
        name="karate club",
        train_inputs=inputs,
        train_labels=labels,
        test_inputs=inputs,
        test_labels=labels,
        n_classes=2,
        source="W. W. Zachary, J. Anthropol. Res. 33, 452 (1977)",
        licence="facts from a publication",
        train_mask=known,
        test_mask=~known,
        details={"labelled": sorted(set(members.tolist())), "transductive": True},
    )
