"""One pin ranked by a run's saved models: as the run ranked it, with reasons that add up."""

import json
import shutil

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from pinterest_id.feature_files import FeatureFile
from pinterest_id.identify import open_identifier
from pinterest_id.records import read_pins
from pinterest_id.scores import load_scores


@pytest.fixture(scope="module")
def identifier(small_run):
    return open_identifier(small_run / "pinterest_id")


@pytest.fixture(scope="module")
def pins(small_run):
    return {pin.id: pin for pin in read_pins(small_run.parent / "clipart" / "pins.jsonl")[0]}


@pytest.fixture(scope="module")
def features(small_run):
    file = FeatureFile(small_run / "pinterest_id" / "fc7")
    return {id_: np.array(file.array[row]) for id_, row in file.row.items()}


def ranked(scores, row):
    return [str(scores.users[code]) for code in np.argsort(-scores.logs[row], kind="stable")]


def test_test_pins_are_ranked_as_the_run_ranked_them(small_run, identifier, pins, features):
    cf, ref = (load_scores(small_run / "pinterest_id" / "scores" / f"{name}.npz") for name in ("cf", "cf_ref"))
    for row, id_ in enumerate(cf.ids):
        users = identifier.rank(pins[id_].text, features[id_])["users"]
        assert [user["user"] for user in users] == ranked(ref, row)
        assert [user["user"] for user in sorted(users, key=lambda user: user["cf_rank"])] == ranked(cf, row)


@pytest.mark.parametrize(
    ("text", "picture", "by"),
    [
        ("moon", True, "text and picture"),
        ("moon", False, "text"),
        ("", True, "picture"),
        ("zzz", True, "text and picture"),
    ],
)
def test_it_says_what_it_ranked_by(identifier, features, text, picture, by):
    answer = identifier.rank(text, features["c0"] if picture else None)
    assert answer["by"] == by
    assert list(answer["users"][0]["probability"]) == [*by.split(" and "), "cf", "cf_ref"]
    assert (answer["words"], answer["unknown"]) == ({"moon": 1} if text == "moon" else {}, ["zzz"] * (text == "zzz"))
    assert sum(user["probability"]["cf"] for user in answer["users"]) == pytest.approx(1, abs=1e-3)  # four users in all


def test_words_add_up_to_the_decision_value(identifier):
    text = "moon moon apple number"
    row = identifier.tfidf.transform([text])
    decisions = (row @ identifier.text.coef.T)[0]
    for user in identifier.rank(text)["users"]:
        code = identifier.text.classes.tolist().index(user["user"])
        weights = [word["weight"] for word in user["words"]]
        assert sum(weights) == pytest.approx(decisions[code], abs=1e-3) and weights == sorted(weights, reverse=True)


def test_similar_pins_are_the_users_own_by_the_mean_of_both_cosines(identifier, features):
    pin = identifier.pins[5]
    words, pictures = identifier.matrices
    cosines = (cosine_similarity(words[5], words) + cosine_similarity(pictures[5:6], pictures))[0] / 2
    for user in identifier.rank(pin.text, features[pin.id])["users"]:
        own = [place for place, other in enumerate(identifier.pins) if other.user == user["user"]]
        assert {similar["index"] for similar in user["pins"]} <= set(own)
        assert [similar["text"] for similar in user["pins"]] == [identifier.pins[s["index"]].text for s in user["pins"]]
        best = np.sort(cosines[own])[::-1][:3]
        np.testing.assert_allclose([similar["cosine"] for similar in user["pins"]], best, atol=1e-4)
    assert cosines.max() == pytest.approx(1, abs=1e-4)  # itself


def test_nothing_to_rank_by_is_an_error(identifier):
    with pytest.raises(ValueError, match=r"none of the text's words is among the \d+ that were learned"):
        identifier.rank("zzz the")
    with pytest.raises(ValueError, match="wanted 256 finite numbers"):
        identifier.rank("moon", np.full(256, np.nan))


def test_what_is_missing_or_changed_is_named(small_run, tmp_path):
    with pytest.raises(ValueError, match=r"run.json: found no such file; wanted it, made by: tools/reproduce"):
        open_identifier(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(small_run / "pinterest_id", run)
    facts = json.loads((run / "run.json").read_text())
    pins = tmp_path / "pins.jsonl"
    pins.write_text((small_run.parent / "clipart" / "pins.jsonl").read_text().replace("moon", "mango"))
    (run / "run.json").write_text(json.dumps(facts | {"inputs": facts["inputs"] | {"pins": str(pins)}}))
    with pytest.raises(ValueError, match=r"found other pins; wanted those that .*/run was made from"):
        open_identifier(run)
    pins.unlink()
    with pytest.raises(ValueError, match=r"pins.jsonl: found no such file; wanted what .*run.json names"):
        open_identifier(run)
