"""The joint solver against liblinear, scikit-learn's conventions, persistence."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from pinterest_id.classifiers import JointLogisticRegression, fit_watched, make_classifier
from pinterest_id.design import Design
from pinterest_id.generated import generate_pins
from pinterest_id.linear_models import linear_model, load_model, log_probabilities, save_model
from pinterest_id.logistic import fit_one_vs_rest
from pinterest_id.options import C_GRID
from pinterest_id.text import PinTfidf


@parametrize_with_checks([JointLogisticRegression()])
def test_estimator_checks(estimator, check):
    check(estimator)


def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


def sparse_text():
    pins = generate_pins(20, 40, 4, n_words=2000, seed=3)
    return PinTfidf().fit_transform(pins.texts), pins.users


@pytest.fixture(scope="module", params=[digits, sparse_text], ids=["digits", "text, 20 classes"])
def data(request):
    return request.param()


def as_float64(X):
    return X.astype(np.float64)


@pytest.mark.parametrize("C", C_GRID)
def test_its_optimum_is_liblinears(data, C):
    X, y = data
    reference = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=C, tol=1e-8, max_iter=10_000))
    reference.fit(as_float64(X), y)
    ours = JointLogisticRegression(C=C).fit(X, y)
    coef = np.vstack([np.append(part.coef_, part.intercept_) for part in reference.estimators_])
    own = np.column_stack([ours.coef_, ours.intercept_])
    error = np.linalg.norm(own - coef, axis=1) / np.linalg.norm(coef, axis=1)
    assert error.max() < 1e-3
    assert np.mean(ours.predict(X) == reference.predict(X)) >= 0.995
    np.testing.assert_allclose(ours.predict_proba(X), reference.predict_proba(as_float64(X)), atol=1e-3)


def test_a_warm_start_gives_the_same_optimum_for_less_work(data):
    X, y = data
    cold = JointLogisticRegression(C=10, tol=1e-5).fit(X, y)
    before = JointLogisticRegression(C=1).fit(X, y)
    warm = JointLogisticRegression(C=10, tol=1e-5).fit(X, y, before.coef_, before.intercept_)
    np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-4 * np.abs(cold.coef_).max())
    assert warm.n_columns_ < cold.n_columns_
    with pytest.raises(ValueError, match="coef_init: found"):
        JointLogisticRegression().fit(X, y, before.coef_[:, 1:], before.intercept_)


def test_the_refit_leaves_the_old_optimum_in_a_few_steps():
    """New rows that the old weights get wrong: a line search that takes too short steps needs 22 of them."""
    pins = generate_pins(40, 20, 64, image_noise=1)
    X, C = pins.images / np.linalg.norm(pins.images, axis=1, keepdims=True), 1000
    old = JointLogisticRegression(C=C).fit(X[np.arange(800) % 6 > 0], pins.users[np.arange(800) % 6 > 0])
    assert JointLogisticRegression(C=C).fit(X, pins.users, old.coef_, old.intercept_).n_iter_ <= 14


def test_sparse_and_dense_agree():
    X, y = digits()
    dense, rows = JointLogisticRegression().fit(X, y), JointLogisticRegression().fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(dense.coef_, rows.coef_, atol=2e-3 * np.abs(dense.coef_).max())


def test_where_float32_stalls_it_goes_on_with_float64_gradients():
    """On raw pixels at C = 1000, float32 alone ends 7e-4 from the optimum."""
    X, y = load_digits(return_X_y=True)
    X, y = X[:600], y[:600]
    exact, _ = fit_one_vs_rest(Design(X), y, 10, 1000.0, tol=1e-7)
    ours, _ = fit_one_vs_rest(Design(X.astype(np.float32)), y, 10, 1000.0, tol=1e-5)
    assert np.all(np.linalg.norm(ours - exact, axis=0) < 1e-5 * np.linalg.norm(exact, axis=0))


def test_the_axes_of_other_rows_serve_as_well():
    """The refit's rows are rotated into the axes of the training rows."""
    X, y = digits()
    design = Design(X, axes=Design(X[:1200]).axes)
    ours, own = JointLogisticRegression(C=10).fit(X, y, design=design), JointLogisticRegression(C=10).fit(X, y)
    np.testing.assert_allclose(ours.coef_, own.coef_, atol=2e-3 * np.abs(own.coef_).max())
    assert ours.n_columns_ == design.columns < 1.5 * own.n_columns_


def test_fewer_rows_than_columns_are_solved_in_the_rows_span():
    X, y = digits()
    X, y = X[:50], y[:50]
    assert Design(X).n_axes == 50
    exact = OneVsRestClassifier(LogisticRegression(solver="liblinear", tol=1e-8, max_iter=10_000)).fit(as_float64(X), y)
    coef = np.vstack([part.coef_ for part in exact.estimators_])
    np.testing.assert_allclose(JointLogisticRegression().fit(X, y).coef_, coef, atol=1e-3 * np.abs(coef).max())


def test_principal_axes_save_raw_rows_four_products_in_ten():
    """Beside the same Jacobi preconditioner over the columns as they are."""
    pins = generate_pins(20, 60, 128, seed=1)
    plain, rotated = Design(pins.images, axes=np.eye(129)), Design(pins.images)
    codes = np.unique(pins.users, return_inverse=True)[1]
    first, _ = fit_one_vs_rest(plain, codes, 20, 1.0)
    second, _ = fit_one_vs_rest(rotated, codes, 20, 1.0)
    assert np.all(np.linalg.norm(first - second, axis=0) < 2e-3 * np.linalg.norm(first, axis=0))
    assert rotated.columns < 0.6 * plain.columns


def test_without_enough_steps_it_warns():
    X, y = digits()
    with pytest.warns(ConvergenceWarning, match="10 of 10 classes not within tol=0.001 after 1 Newton steps"):
        JointLogisticRegression(C=100, max_iter=1).fit(X, y)


def test_a_solver_that_stops_early_is_told_from_one_that_converged():
    X, y = load_digits(return_X_y=True)
    early = fit_watched(LogisticRegression(max_iter=2), X, y)
    assert early.startswith("lbfgs failed to converge after 2 iteration") and "\n" not in early
    assert fit_watched(make_classifier("joint", 0.1), X, y) == ""


def test_probabilities_are_sigmoids_renormalised_and_do_not_underflow():
    Z = np.array([[1.0, -2.0, 0.5], [-800.0, -900.0, -1000.0]])
    p = np.exp(log_probabilities(Z))
    sigmoid = 1 / (1 + np.exp(-Z[0]))
    np.testing.assert_allclose(p[0], sigmoid / sigmoid.sum())
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert log_probabilities(Z)[1].argmax() == 0 and np.isfinite(log_probabilities(Z)).all()


def test_one_user_is_an_error():
    with pytest.raises(ValueError, match="y: found one class only, ann; wanted two or more"):
        JointLogisticRegression().fit(np.eye(3), ["ann"] * 3)


@pytest.mark.parametrize("kind", ["joint", "liblinear", "multinomial"])
@pytest.mark.parametrize("classes", [2, 5])
def test_a_saved_model_has_the_classifiers_probabilities(tmp_path, kind, classes):
    X, y = digits()
    X, y = X[y < classes], y[y < classes].astype(str)
    classifier = make_classifier(kind, C=1.0).fit(X, y)
    save_model(tmp_path / "C0.1", linear_model(classifier, {"C": 1.0}))
    model = load_model(tmp_path / "C0.1")
    np.testing.assert_allclose(np.exp(model.log_proba(X)), classifier.predict_proba(X), atol=1e-5)
    assert model.about["C"] == 1.0 and list(model.classes) == list(classifier.classes_)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["C0.1.json", "C0.1.npz"]


def test_a_model_of_other_features_is_an_error(tmp_path):
    X, y = digits()
    model = linear_model(make_classifier().fit(X, y))
    with pytest.raises(ValueError, match="X: found 63 features; wanted the model's 64"):
        model.log_proba(X[:, 1:])
    with pytest.raises(ValueError, match="found 'svm'; wanted one of joint, liblinear, multinomial"):
        make_classifier("svm")
