"""Entropies of a split: what a table of token frequencies costs, as a line to hold losses against.

They are the split's *own* empirical entropies, not the cross-entropy of a table fitted to the training
split. So they are the strictest reading: no table of that kind, not even one fitted to these very tokens,
costs less on them, and a model below `bigram_entropy` must use more of the past. They come out too low
where contexts are seen only a few times each (256 gray levels, small splits), never too high.
"""

import numpy as np
from numpy.typing import NDArray


def entropy(symbols: NDArray[np.int64]) -> float:
    """Return the empirical entropy of integers of any shape, in nats."""
    counts = np.unique(symbols, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def conditional_entropy(targets: NDArray[np.int64], *contexts: NDArray[np.int64]) -> float:
    """Return H(target | contexts) = H(target, contexts) - H(contexts), in nats.

    Args:
        targets: tokens 0..255, any shape.
        *contexts: what is known of each target, tokens 0..255 of the same shape.
    """
    context = np.zeros_like(targets)
    for known in contexts:
        context = context * 256 + known
    return entropy(context * 256 + targets) - entropy(context)
