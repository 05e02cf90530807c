"""How well a layer tells languages apart: its vectors go in; the accuracy of a linear probe comes
out.
"""

from __future__ import annotations

import numpy as np

_FOLDS = 5


def language_accuracy(vectors_LSD: np.ndarray, seed: int = 0) -> float:
    """How often a linear classifier names the language of a sentence that it has not seen in any
    language.

    Ridge regression on one-hot languages over standardised dimensions, in closed form and so a
    fraction of a second where a logistic one takes a minute; cross-validated in folds of sentences,
    a sentence and its translations in one fold. Chance is 1 / languages. (Linear probes: Alain &
    Bengio 2017; of languages: Libovický 2020, section 3.)
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    languages, sentences, width = vectors_LSD.shape
    probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1.0, solver="cholesky"))
    named, groups = (
        np.repeat(np.arange(languages), sentences),
        np.tile(np.arange(sentences), languages),
    )
    folds = GroupKFold(min(_FOLDS, sentences), shuffle=True, random_state=seed)
    return float(
        cross_val_score(
            probe, vectors_LSD.reshape(-1, width), named, groups=groups, cv=folds
        ).mean()
    )
