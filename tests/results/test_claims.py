"""The paper's claims in words, on scores whose differences are known."""

import numpy as np
import pytest

from mindpics.inference.infer import save_scores
from mindpics.published import ROWS
from mindpics.report.figures import curves
from mindpics.results.claims import check_claims, claims
from mindpics.results.run_files import PAPERS_BEST

LABELS = np.tile(np.arange(10), 200)  # 400 pictures a trait


def scored(wrong_shares, seed=0):
    """Return scores that are wrong on a share of each trait's pictures."""
    rng = np.random.default_rng(seed)
    high = np.full((len(LABELS), 5), 0.5)
    for trait, share in enumerate(wrong_shares):
        own = np.flatnonzero(trait == LABELS // 2)
        right = rng.permutation(len(own)) >= share * len(own)
        high[own, trait] = np.where(right == (LABELS[own] % 2 == 1), 0.8, 0.2)
    return np.stack([1 - high, high], axis=2).astype(np.float32)


@pytest.fixture
def mindpics(tmp_path):
    """Six rows, E best and then C; all-in-one 5 points above independent but for A from scratch, 10 below there."""
    for row in ROWS:
        wrong = np.array([0.35, 0.2, 0.1, 0.35, 0.35])
        wrong += 0.05 * (row.heads == "independent") + 0.1 * (row.init == "scratch") + 0.05 * (row.net == "alexnet")
        if row.switch == "alexnet/independent/scratch":
            wrong[3] -= 0.15
        (tmp_path / row.name).mkdir()
        ids = [f"p{i}" for i in range(len(LABELS))]
        save_scores(tmp_path / row.name / "scores.npz", ids, LABELS, scored(wrong))
    return tmp_path


def test_each_claim_stands_beside_what_the_run_shows_with_its_interval(mindpics):
    found = {claim.words: claim for claim in claims(mindpics)}
    assert len(found) == 10
    tuned = found["fine-tuned is above scratch, AlexNet all-in-one"]
    assert (tuned.paper, tuned.shown) == (pytest.approx(6.0), pytest.approx(10.0, abs=0.1))
    resnet = found["ResNet-50 is above AlexNet, all-in-one"]
    assert (resnet.paper, resnet.shown) == (pytest.approx(2.5), pytest.approx(5.0, abs=0.1))
    but_for = found["all-in-one is below independent for Agreeableness, AlexNet from scratch"]
    assert (but_for.paper, but_for.shown) == (pytest.approx(0.4), pytest.approx(10.0, abs=0.1))
    assert found["AUC of Extraversion is above Conscientiousness's"].shown == pytest.approx(10, abs=0.1)
    assert all(claim.low < claim.shown < claim.high for claim in found.values())
    assert {finding.severity for finding in check_claims(mindpics / "table3.csv")} <= {"ok", "differs"}


def test_equal_scores_are_not_told_from_chance_and_the_reverse_contradicts(mindpics):
    one, other = (mindpics / f"alexnet_all-in-one_{init}" / "scores.npz" for init in ("finetune", "scratch"))
    better = one.read_bytes()
    one.write_bytes(other.read_bytes())
    words = "fine-tuned is above scratch, AlexNet all-in-one"
    verdicts = {claim.words: claim.verdict for claim in claims(mindpics)}
    assert verdicts[words] == "not told from chance"
    other.write_bytes(better)
    assert {claim.words: claim.verdict for claim in claims(mindpics)}[words] == "contradicted"


def test_an_auc_is_figure_3s_where_probabilities_of_high_are_rounded_to_1(mindpics):
    odds = np.random.default_rng(1).normal(18, 3, (len(LABELS), 5)) + LABELS[:, None] % 2
    scores = (1 / (1 + np.exp(np.stack([odds, -odds], axis=2)))).astype(np.float32)
    assert (scores[..., 1] == 1).mean() > 0.5
    save_scores(mindpics / PAPERS_BEST / "scores.npz", [f"p{i}" for i in range(len(LABELS))], LABELS, scores)
    shown = {claim.words: claim.shown for claim in claims(mindpics)}
    drawn = {trait: 100 * curve["auc"] for trait, curve in curves(LABELS, scores).items()}
    assert shown["AUC of Extraversion is above Conscientiousness's"] == pytest.approx(drawn["E"] - drawn["C"])
    assert shown["AUC of Conscientiousness is above Neuroticism's"] == pytest.approx(drawn["C"] - drawn["N"])


def test_rows_on_other_pictures_are_not_compared(mindpics):
    name = mindpics / "alexnet_all-in-one_scratch" / "scores.npz"
    save_scores(name, [f"q{i}" for i in range(len(LABELS))], LABELS, scored([0.3] * 5))
    assert not [claim for claim in claims(mindpics) if "scratch" in claim.words]


def test_broken_scores_are_left_to_their_own_check(mindpics):
    (mindpics / "resnet50_all-in-one_finetune" / "scores.npz").write_bytes(b"no archive")
    assert not [claim for claim in claims(mindpics) if "ResNet" in claim.words or "AUC" in claim.words]
