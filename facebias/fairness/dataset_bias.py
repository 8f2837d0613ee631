"""How biased a data set is before anybody trains on it: by its counts alone.

Representation: how evenly are the groups there? Functions of counts (..., K), the faces of each
of K declared groups. Association: how much does the group tell of the label? Functions of tables
(..., R, C), groups down and labels across. Leading dimensions are worked through in one call.

An absent group counts 0 and keeps its place in K: a set of men only is uneven by two declared
genders. With `observed=True` groups without faces vanish from K instead, and that set is
perfectly even by the one gender that is seen; published figures are mostly of this kind. No
measure of association changes with it: a row or column without faces says nothing of the others.

Undefined is NaN: everything of no faces, and what is said below.

Sources: Dominguez-Catena, Paternain, Galar, "Metrics for Dataset Demographic Bias: A Case Study on
Facial Expression Recognition", IEEE TPAMI 2024 (all but DSAP; the names are theirs);
Dominguez-Catena, Paternain, Galar, "DSAP: Analyzing bias through demographic comparison of
datasets", Information Fusion 2025 (the similarities).
"""

import numpy as np
import numpy.typing as npt

Counts = npt.ArrayLike
Values = npt.NDArray[np.float64]


def effective_number(counts: Counts) -> Values:
    """Return the effective number of species, ENS = exp(-sum p ln p).

    As many equally large groups would be as varied: from 1, all faces in one group, to K. It is
    the same for declared and observed groups.

    Args:
        counts: (..., K), 0 or more.

    Returns:
        (...), 1..K.

    >>> effective_number([[5, 5], [10, 0]]).tolist()
    [2.0, 1.0]
    """
    return np.asarray(np.exp(_entropy(_shares(counts))))


def shannon_evenness(counts: Counts, *, observed: bool = False) -> Values:
    """Return Shannon's evenness index, SEI = -sum p ln p / ln K; NaN for fewer than two groups.

    Args:
        counts: (..., K), 0 or more.
        observed: leave groups without faces out of K.

    Returns:
        (...), 0 (all faces in one group) to 1 (all groups equally large).
    """
    return _divide(_entropy(_shares(counts)), np.log(np.maximum(_groups(counts, observed), 1)))


def normalised_deviation(counts: Counts, *, observed: bool = False) -> Values:
    """Return the normalised standard deviation of the shares; NaN for fewer than two groups.

    NSD = K / sqrt(K - 1) * std(p), std being that of the population. With the mean share 1 / K
    this is sqrt((K * sum p^2 - 1) / (K - 1)), which is what is computed.

    Args:
        counts: (..., K), 0 or more.
        observed: leave groups without faces out of K.

    Returns:
        (...), 0 (all groups equally large) to 1 (all faces in one group).
    """
    k = _groups(counts, observed)
    squares = np.square(_shares(counts)).sum(-1)
    return np.asarray(np.sqrt(_divide(np.maximum(k * squares - 1, 0), k - 1)))


def imbalance_ratio(counts: Counts, *, observed: bool = False) -> Values:
    """Return the imbalance ratio IR = max N / min N.

    Args:
        counts: (..., K), 0 or more.
        observed: leave groups without faces out; else one such group makes it infinite.

    Returns:
        (...), 1 (all groups equally large) to infinity.

    >>> imbalance_ratio([30, 10, 0]).item(), imbalance_ratio([30, 10, 0], observed=True).item()
    (inf, 3.0)
    """
    found = np.asarray(counts, np.float64)
    least = np.where(found > 0, found, np.inf).min(-1) if observed else found.min(-1)
    most = found.max(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(most > 0, most / least, np.nan))


def berger_parker(counts: Counts) -> Values:
    """Return the Berger-Parker index, the share of the largest group.

    It is the same for declared and observed groups.

    Args:
        counts: (..., K), 0 or more.

    Returns:
        (...), 1 / K to 1.
    """
    return np.asarray(_shares(counts).max(-1))


def similarity(shares: npt.ArrayLike, others: npt.ArrayLike) -> Values:
    """Return DSAP's similarity of two compositions (Renkonen's), DS = 1 - sum |p - q| / 2.

    Args:
        shares: (..., K), summing to 1.
        others: the same shape, or one that broadcasts to it.

    Returns:
        (...), 0 (no group in common) to 1 (the same shares).
    """
    difference = np.asarray(shares, np.float64) - np.asarray(others, np.float64)
    return np.asarray(1 - np.abs(difference).sum(-1) / 2)


def representational_similarity(counts: Counts) -> Values:
    """Return DSAP's DS_R: the similarity to equal shares of all K declared groups.

    Args:
        counts: (..., K), 0 or more.

    Returns:
        (...), 1 / K to 1.
    """
    shares = _shares(counts)
    return similarity(shares, np.full_like(shares, 1 / shares.shape[-1]))


def evenness_similarity(counts: Counts) -> Values:
    """Return DSAP's DS_E: the similarity to equal shares of the groups that have faces.

    Args:
        counts: (..., K), 0 or more.

    Returns:
        (...), 0 to 1; 1 also where one group is all there is.
    """
    present = np.asarray(counts, np.float64) > 0
    return similarity(_shares(counts), _shares(present))


def stereotypical_similarity(table: Counts) -> Values:
    """Return DSAP's DS_S: the mean over labels of each label's similarity to all the others.

    Labels without faces are left out of the mean; NaN where fewer than two have any.

    Args:
        table: (..., R, C) counts, groups down and labels across.

    Returns:
        (...), 0 (no group has faces of two labels) to 1 (the same groups in all labels).
    """
    by_label = np.swapaxes(np.asarray(table, np.float64), -1, -2)
    rest = by_label.sum(-2, keepdims=True) - by_label
    each = similarity(_shares(by_label), _shares(rest))
    labelled = np.isfinite(each)
    return _divide(np.where(labelled, each, 0).sum(-1), labelled.sum(-1))


def cramers_v(table: Counts) -> Values:
    """Return Cramer's V = sqrt(chi2 / n / min(R - 1, C - 1)) of the rows and columns with faces.

    Chi squared has Yates' correction where two rows and two columns have faces, and nowhere else.
    NaN where fewer than two rows or two columns have any.

    Args:
        table: (..., R, C) counts.

    Returns:
        (...), 0 (independent) to 1 (the one tells the other).
    """
    found = np.asarray(table, np.float64)
    n = found.sum((-1, -2))
    rows, columns = found.sum(-1, keepdims=True), found.sum(-2, keepdims=True)
    expected = _divide(rows * columns, n[..., None, None])
    least = np.minimum((rows > 0).sum((-1, -2)), (columns > 0).sum((-1, -2))) - 1
    two_by_two = ((rows > 0).sum((-1, -2)) == 2) & ((columns > 0).sum((-1, -2)) == 2)
    difference = np.abs(found - expected)
    yates = np.where(two_by_two[..., None, None], np.minimum(0.5, difference), 0)
    terms = _divide(np.square(difference - yates), expected)
    chi_squared = np.where(expected > 0, terms, 0).sum((-1, -2))
    return np.asarray(np.sqrt(_divide(chi_squared, n * least)))


def theils_u(table: Counts) -> Values:
    """Return Theil's U of the columns, (H(C) - H(C | R)) / H(C): how far the row tells the column.

    The other direction is `theils_u` of the table with its last two axes swapped. NaN where fewer
    than two rows or two columns have faces: there is nothing to tell.

    Args:
        table: (..., R, C) counts.

    Returns:
        (...), 0 to 1.
    """
    columns = _entropy(_shares(np.asarray(table, np.float64).sum(-2)))
    return _divide(_mutual_information(table), columns)


def normalised_information(table: Counts) -> Values:
    """Return the mutual information over the joint entropy, NMI = MI / H(R, C).

    NaN where fewer than two rows or two columns have faces.

    Args:
        table: (..., R, C) counts.

    Returns:
        (...), 0 (independent) to 1 (each tells the other).
    """
    return _divide(_mutual_information(table), _joint_entropy(table))


def cell_information(table: Counts) -> Values:
    """Return the normalised pointwise mutual information of each cell.

    NPMI = ln(p(r, c) / (p(r) p(c))) / -ln p(r, c). A cell without faces is -1, the limit; it is
    NaN where its row or its column has none either, and where it has all faces.

    Args:
        table: (..., R, C) counts.

    Returns:
        (..., R, C), -1 (never together), 0 (as by chance) to 1 (only together).
    """
    found = np.asarray(table, np.float64)
    joint = _divide(found, found.sum((-1, -2), keepdims=True))
    apart = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = np.log(joint / apart) / -np.log(joint)
    cells = np.where((joint == 0) & (apart > 0), -1, cells)
    return np.asarray(np.where(joint == 1, np.nan, cells))


def _shares(counts: Counts) -> Values:
    found = np.asarray(counts, np.float64)
    return _divide(found, found.sum(-1, keepdims=True))


def _groups(counts: Counts, observed: bool) -> npt.NDArray[np.int64]:
    """Return K for each leading index."""
    found = np.asarray(counts)
    present = (found > 0).sum(-1)
    return np.asarray(present if observed else np.full_like(present, found.shape[-1]))


def _entropy(shares: Values) -> Values:
    """Return -sum p ln p (...), where 0 ln 0 is 0."""
    logarithms = np.log(np.where(shares > 0, shares, 1))
    return np.asarray(-(shares * logarithms).sum(-1))


def _joint_entropy(table: Counts) -> Values:
    found = np.asarray(table, np.float64)
    return _entropy(_shares(found.reshape(*found.shape[:-2], -1)))


def _mutual_information(table: Counts) -> Values:
    """Return MI (...) in nats; NaN where fewer than two rows or two columns have faces."""
    found = np.asarray(table, np.float64)
    rows, columns = _entropy(_shares(found.sum(-1))), _entropy(_shares(found.sum(-2)))
    information = np.maximum(rows + columns - _joint_entropy(found), 0)
    return np.asarray(np.where((rows > 0) & (columns > 0), information, np.nan))


def _divide(values: npt.ArrayLike, whole: npt.ArrayLike) -> Values:
    """Divide; what has no denominator is NaN."""
    whole = np.asarray(whole, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(whole > 0, values / whole, np.nan))
