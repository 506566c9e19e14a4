"""Areas from samples, against the worked example of the paper and drawn worlds."""

import numpy as np
import pytest

from mmseg.errors import UserError
from mmseg.results.areas import Z, estimate, sample_sizes

# Olofsson et al. 2014, section 5; counts by map class (rows) and reference class.
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
SHARES = np.array([0.02, 0.015, 0.32, 0.645])
HECTARES = 900_000


def points_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mapped, reference = np.indices(counts.shape).reshape(2, -1).repeat(counts.ravel(), axis=1)
    return mapped, reference


def test_areas_and_intervals_are_those_of_the_worked_example():
    mapped, reference = points_of(COUNTS)
    result = estimate(mapped, mapped, reference, SHARES, 4)
    areas, half_widths = HECTARES * result["area"][0], HECTARES * Z * result["area"][1]
    assert areas == pytest.approx([21157.762, 11686.154, 285769.930, 581386.154], rel=1e-6)
    assert half_widths == pytest.approx([6157.634, 3755.826, 15509.836, 16281.655], rel=1e-6)
    assert result["overall"][0][0] == pytest.approx(0.946512, abs=1e-6)


def test_accuracies_have_the_variances_of_the_paper():
    mapped, reference = points_of(COUNTS)
    result = estimate(mapped, mapped, reference, SHARES, 4)
    n, users = COUNTS.sum(1), COUNTS.diagonal() / COUNTS.sum(1)
    assert result["users"][0] == pytest.approx(users)
    assert result["users"][1] == pytest.approx(np.sqrt(users * (1 - users) / (n - 1)))
    overall = np.sqrt((SHARES**2 * users * (1 - users) / (n - 1)).sum())
    assert result["overall"][1][0] == pytest.approx(overall)
    p = SHARES[:, None] * COUNTS / n[:, None]
    producers = p.diagonal() / p.sum(0)
    assert result["producers"][0] == pytest.approx(producers)
    for j in range(4):  # equation 7
        own = (SHARES[j] * (1 - producers[j])) ** 2 * users[j] * (1 - users[j]) / (n[j] - 1)
        rates = COUNTS[:, j] / n
        others = SHARES**2 * rates * (1 - rates) / (n - 1)
        variance = (own + producers[j] ** 2 * (others.sum() - others[j])) / p[:, j].sum() ** 2
        assert result["producers"][1][j] == pytest.approx(np.sqrt(variance))


def test_strata_of_another_map_give_areas_without_bias():
    # Two strata by chance: the estimate must not depend on which map the sample was drawn by.
    rng = np.random.default_rng(0)
    truth = rng.random(100_000) < 0.3
    mapped = truth ^ (rng.random(100_000) < 0.1)
    strata = rng.random(100_000) < 0.2
    shares = np.array([(~strata).mean(), strata.mean()])
    found = []
    for _ in range(200):
        drawn = np.concatenate([rng.choice(np.flatnonzero(strata == s), 100) for s in (0, 1)])
        sample = strata[drawn] * 1, mapped[drawn] * 1, truth[drawn] * 1
        found.append(estimate(*sample, shares, 2)["area"][0][1])
    assert np.mean(found) == pytest.approx(truth.mean(), abs=4 * np.std(found) / 200**0.5)


def test_intervals_cover_the_truth_in_95_of_100_drawn_worlds():
    rng = np.random.default_rng(0)
    inside, worlds = 0, 1_000
    for _ in range(worlds):
        confusion = rng.dirichlet(np.ones(3), 3) * 0.3 + np.eye(3) * 0.7
        shares = rng.dirichlet(np.full(3, 5.0))
        counts = np.array([rng.multinomial(100, row) for row in confusion])
        mapped, reference = points_of(counts)
        area, error = estimate(mapped, mapped, reference, shares, 3)["area"]
        truth = shares @ confusion
        inside += abs(area[0] - truth[0]) <= Z * error[0]
    assert 0.93 <= inside / worlds <= 0.97, inside


def test_a_sample_has_the_size_that_the_standard_error_asks_for():
    # The paper's example: S = 0.01 asks for 641 points where the accuracies are 0.6 to 0.95.
    assert sample_sizes(np.array([0.1, 0.9]), 0.5, 0.05, 1).sum() == 100
    assert list(sample_sizes(np.array([0.01, 0.99, 0.0]), 0.9, 0.01, 50)) == [58, 842, 0]
    assert list(sample_sizes(np.array([0.25, 0.75]), 0.9, 0.01, 50, total=40)) == [20, 20]


def test_a_stratum_with_one_point_is_refused():
    with pytest.raises(UserError, match="stratum 1 has 1 interpreted points"):
        estimate(*np.array([[0, 0, 1]] * 3), np.array([0.5, 0.5]), 2)
