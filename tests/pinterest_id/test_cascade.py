"""Equation 1, the linear baseline and phase two against loop-by-loop re-implementations."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from pinterest_id.cascade import CascadeClassifier, cascade, linear
from pinterest_id.classifiers import JointLogisticRegression
from pinterest_id.fusion import fit_late_fusion, late_fusion
from pinterest_id.options import Options
from pinterest_id.refine import refine

N, K, TRAIN = 40, 17, 200


def log_p(rng, n=N):
    p = rng.dirichlet(np.full(K, 0.3), n)
    return np.log(np.maximum(p, 1e-30))


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def features(rng, n):
    text = sparse.random_array((n, 30), density=0.1, rng=rng, dtype=np.float32, format="csr")  # some rows are empty
    return text, np.maximum(rng.normal(size=(n, 12)), 0).astype(np.float32)


def test_equation_1_and_the_linear_baseline_by_loops(rng):
    text, image = log_p(rng), log_p(rng)
    for i in range(N):
        for k in range(K):
            px, pg = np.exp(text[i, k]), np.exp(image[i, k])
            assert np.exp(cascade(text, image)[i, k]) == pytest.approx(px * pg, rel=1e-6)
            assert np.exp(linear(text, image, 0.3)[i, k]) == pytest.approx(0.3 * pg + 0.7 * px, rel=1e-6)


def test_lambda_is_the_weight_of_the_image(rng):
    text, image = log_p(rng), log_p(rng)
    np.testing.assert_allclose(linear(text, image, 1.0), image)
    np.testing.assert_allclose(linear(text, image, 0.0), text)
    with pytest.raises(ValueError, match="lambda: found .*; wanted 0..1"):
        linear(text, image, 1.5)


def test_117_users_do_not_underflow():
    logs = np.full((2, 117), -800.0, dtype=np.float32)
    logs[0, 3] = -700
    assert np.isfinite(cascade(logs, logs)).all() and cascade(logs, logs)[0].argmax() == 3


@pytest.mark.parametrize("top", [0, -3])
def test_fewer_than_one_user_to_refine_is_refused_before_a_run(top):
    with pytest.raises(ValueError, match=f"top: found {top}; wanted 1 or more"):
        Options(refine_top=top)


def cosine(a, b):
    lengths = np.sqrt(a @ a) * np.sqrt(b @ b)
    return (a @ b) / lengths if lengths > 0 else 0.0


def similarity(modality, test, train):
    """Cosine of two pins, each (text, image) as dense rows."""
    if modality == "mean":
        return (cosine(test[0], train[0]) + cosine(test[1], train[1])) / 2
    if modality == "concat":
        return cosine(np.concatenate(test), np.concatenate(train))
    return cosine(*((test[0], train[0]) if modality == "text" else (test[1], train[1])))


@pytest.mark.parametrize("modality", ["mean", "text", "image", "concat"])
def test_phase_two_by_loops(rng, modality):
    logs, users = log_p(rng), np.concatenate([np.arange(K), rng.integers(0, K, TRAIN - K)])
    test, train = features(rng, N), features(rng, TRAIN)
    refined = refine(logs, test, train, users, modality)
    dense = [(test[0].toarray()[i], test[1][i]) for i in range(N)]
    dense_train = [(train[0].toarray()[j], train[1][j]) for j in range(TRAIN)]
    for i in range(N):
        top = np.argsort(-logs[i], kind="stable")[:10]
        for k in range(K):
            if k not in top:
                assert refined[i, k] == -np.inf
                continue
            nearest = max(similarity(modality, dense[i], dense_train[j]) for j in range(TRAIN) if users[j] == k)
            expected = np.exp(logs[i, k]) * max(nearest, 1e-12)
            assert np.exp(refined[i, k]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_pin_unlike_all_keeps_the_cascades_order(rng):
    logs = log_p(rng, 1)
    users = np.arange(K)
    empty = (sparse.csr_array((1, 30), dtype=np.float32), np.zeros((1, 12), np.float32))
    refined = refine(logs, empty, features(rng, K), users)
    assert list(np.argsort(-refined[0], kind="stable")[:10]) == list(np.argsort(-logs[0], kind="stable")[:10])


def test_fewer_users_than_ten(rng):
    logs = log_p(rng)[:, :4]
    assert np.isfinite(refine(logs, features(rng, N), features(rng, 8), np.arange(8) % 4)).all()


def test_what_does_not_fit_is_said(rng):
    logs, test, train, users = log_p(rng), features(rng, N), features(rng, TRAIN), np.arange(TRAIN) % K
    with pytest.raises(ValueError, match="found 'sound'; wanted one of mean, text, image, concat"):
        refine(logs, test, train, users, "sound")
    with pytest.raises(ValueError, match="test: found 39 text rows, 40 image rows; wanted 40"):
        refine(logs, (test[0][:39], test[1]), train, users)
    with pytest.raises(ValueError, match="found no training pin of 1 users, code 3 the first"):
        refine(logs, test, train, np.where(users == 3, 4, users))
    with pytest.raises(ValueError, match="wanted the same pins and users"):
        cascade(logs, logs[:, :3])


@parametrize_with_checks(
    [CascadeClassifier([("text", JointLogisticRegression()), ("image", JointLogisticRegression())])]
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_the_estimator_multiplies_what_its_classifiers_say(rng):
    y = np.arange(90) % 3
    X = {"text": sparse.csr_array(rng.random((90, 6)) + np.eye(6)[y]), "image": rng.random((90, 4))}
    model = CascadeClassifier([(name, JointLogisticRegression()) for name in X]).fit(X, y)
    product = np.prod([model.fitted_[name].predict_proba(X[name]) for name in X], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), product / product.sum(axis=1, keepdims=True))
    with pytest.raises(ValueError, match="X: found the modalities text; wanted image too"):
        model.predict({"text": X["text"]})
    with pytest.raises(ValueError, match="modalities: found the pins"):
        model.predict({"text": X["text"], "image": X["image"][:5]})


@pytest.mark.filterwarnings("ignore:divide by zero")  # scikit-learn's own, of a tree's log of 0
def test_classifiers_that_agree_on_no_user_give_each_the_same_probability():
    X = {"text": np.array([[0.0], [1], [2], [3]]), "image": np.array([[0.0], [1], [2], [3]])}
    model = CascadeClassifier([(name, DecisionTreeClassifier()) for name in X]).fit(X, ["a", "b", "c", "d"])
    probabilities = model.predict_proba({"text": np.array([[0.0], [1]]), "image": np.array([[2.0], [1]])})
    np.testing.assert_array_equal(probabilities, [[0.25] * 4, [0, 1, 0, 0]])


def test_late_fusion_finds_the_weights_that_made_the_labels(rng):
    text, image = log_p(rng, 8000), log_p(rng, 8000)
    p = np.exp(late_fusion([text, image], [0.7, 0.2]).astype(np.float64))
    codes = np.array([rng.choice(K, p=row / row.sum()) for row in p])
    np.testing.assert_allclose(fit_late_fusion([text, image], codes), [0.7, 0.2], atol=0.03)
