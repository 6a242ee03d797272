"""Identification of one new pin's user by a fitted experiment, with reasons.

The cascade and its refinement are the paper's (section 3.1), as in `pinterest_id.experiment`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import softmax

from mindpics.files.json_files import read_document
from mindpics.files.tables import rows_of
from mindpics.posts.posts import picture_path
from pinterest_id.cascade import cascade
from pinterest_id.feature_files import FeatureFile
from pinterest_id.layout import ExperimentFiles
from pinterest_id.linear_models import load_model
from pinterest_id.records import read_pins
from pinterest_id.refine import cosines, refine
from pinterest_id.splits import read_split
from pinterest_id.text import PinTfidf
from pinterest_id.words import clean_words

WORDS, PINS = 5, 3  # shown of each user
SEEN = ("train", "validation")  # the final models' pins, and those that the refinement looks at


@dataclass(frozen=True)
class Identifier:
    """Fitted models, and the pins that they were fitted on.

    Attributes
    ----------
    pins : list of Pin, length M
        Training and validation pins.
    paths : list of Path
        Their pictures.
    codes : int [M]
        Each pin's user, as a row of the models.
    tfidf : PinTfidf
    text, image : LinearModel
    matrices : (CSR [M, D], float32 [M, E])
        tf-idf and image features of `pins`.
    options : dict
        Of the experiment: refine_modality, refine_top, unit_features, stop_words.
    features : str
        NAME of the image features that `image` was fitted on.
    """

    pins: list
    paths: list
    codes: np.ndarray
    tfidf: PinTfidf
    text: object
    image: object
    matrices: tuple
    options: dict
    features: str

    def rank(self, text="", features=None):
        """Return the likeliest users of a pin and why, as values that JSON takes.

        Parameters
        ----------
        text : str
            Empty: by the picture alone.
        features : float [E], optional
            The picture's fc7, as the run's; without it, by the text alone.

        Returns
        -------
        dict
            "by": "text and picture", "text" or "picture"; "words": {known word: tf-idf}, "unknown": other words;
            "users": the ten likeliest by CF, in the order of CF+Ref. Probabilities are over all users for CF and
            for one modality, over the ten for CF+Ref. A word's weight is its tf-idf times the user's coefficient.

        Raises
        ------
        ValueError
            When there is neither a known word nor a picture, or the features are not the run's.
        """
        row = self.tfidf.transform([text])
        if features is None and not row.nnz:
            raise ValueError(
                f"none of the text's words is among the {len(self.tfidf.vocabulary_)} that were learned, "
                "and there is no picture: nothing to rank by"
            )
        rows = (row, self._image_row(features))
        logs = {}
        if text.strip():
            logs["text"] = self.text.log_proba(rows[0])
        if features is not None:
            logs["picture"] = self.image.log_proba(rows[1])
        modality = {("text",): "text", ("picture",): "image"}.get(tuple(logs), self.options["refine_modality"])
        fused = cascade(*logs.values())
        refined = refine(fused, rows, self.matrices, self.codes, modality, self.options["refine_top"])
        return {
            "by": " and ".join(logs),
            **self._words(text, row),
            "users": self._users(rows, logs, fused[0], refined[0], modality),
        }

    def _image_row(self, features):
        width = self.image.coef.shape[1]
        if features is None:
            return np.zeros((1, width), np.float32)
        if np.shape(features) != (width,) or not np.isfinite(features).all():
            raise ValueError(
                f"features: found the shape {np.shape(features)}; wanted {width} finite numbers, as the run's"
            )
        row = np.array(features, np.float32)[None]
        length = np.linalg.norm(row) if self.options["unit_features"] else 0
        return row / length if length > 0 else row

    def _words(self, text, row):
        names, all_words = self.tfidf.get_feature_names_out(), clean_words(text, self.options["stop_words"])
        known = zip(row.indices, row.data, strict=True)
        unknown = dict.fromkeys(word for word in all_words if word not in self.tfidf.vocabulary_)
        return {"words": {str(names[i]): round(float(weight), 4) for i, weight in known}, "unknown": list(unknown)}

    def _users(self, rows, logs, fused, refined, modality):
        shares = {name: softmax(log[0]) for name, log in logs.items()}
        shares |= {"cf": softmax(fused), "cf_ref": softmax(refined)}
        top = np.flatnonzero(np.isfinite(refined))
        by_cf = top[np.argsort(-fused[top], kind="stable")].tolist()
        by_ref = top[np.argsort(-refined[top], kind="stable")].tolist()
        return [
            {
                "user": str(self.text.classes[code]),
                "cf_rank": by_cf.index(code) + 1,
                "cf_ref_rank": place,
                "probability": {name: float(f"{share[code]:.4g}") for name, share in shares.items()},
                "words": self._words_for(code, rows[0]),
                "pins": self._similar(code, rows, modality),
            }
            for place, code in enumerate(by_ref, 1)
        ]

    def _words_for(self, code, row):
        """What each word adds to the user's decision value, the largest first."""
        names = self.tfidf.get_feature_names_out()
        added = row.data * self.text.coef[code, row.indices]
        order = np.argsort(-added, kind="stable")[:WORDS]
        return [{"word": str(names[row.indices[i]]), "weight": round(float(added[i]), 4)} for i in order]

    def _similar(self, code, rows, modality):
        rows_of_user = np.flatnonzero(self.codes == code)
        cosine = cosines(rows, [matrix[rows_of_user] for matrix in self.matrices], modality)[0]
        order = [i for i in np.argsort(-cosine, kind="stable")[:PINS] if cosine[i] > 0]
        return [
            {
                "index": int(rows_of_user[i]),
                "text": self.pins[rows_of_user[i]].text,
                "cosine": round(float(cosine[i]), 4),
            }
            for i in order
        ]


def open_identifier(folder):
    """Return the Identifier of a run folder of tools/run_identification.

    Raises
    ------
    ValueError
        When something is missing, or the pins are no longer those of the run; it names the command that helps.
    """
    folder = Path(folder)
    files, facts = ExperimentFiles(folder), _facts(folder)
    options, source = facts["options"], Path(facts["inputs"]["pins"])
    pins = _seen_pins(folder, source, options)
    text, image = (load_model(files.model(name) / "final") for name in ("text", "image"))
    tfidf = PinTfidf(options["stop_words"]).fit([pin.text for pin in pins])
    learned = [row["word"] for row in rows_of(files.dictionary)]
    users = {user: code for code, user in enumerate(text.classes.tolist())}
    if learned != tfidf.get_feature_names_out().tolist() or {pin.user for pin in pins} != set(users):
        raise ValueError(_others(source, folder))
    features = FeatureFile(facts["inputs"]["image"], facts["inputs"].get("image_ids"))
    matrix = features.matrix([pin.id for pin in pins], options["unit_features"])
    return Identifier(
        pins=pins,
        paths=[picture_path(source.parent, pin.image, pin.id) for pin in pins],
        codes=np.array([users[pin.user] for pin in pins]),
        tfidf=tfidf,
        text=text,
        image=image,
        matrices=(tfidf.transform([pin.text for pin in pins]), matrix),
        options=options,
        features=features.name,
    )


def _seen_pins(folder, source, options):
    """Return the training and validation pins in the experiment's order."""
    files = ExperimentFiles(folder)
    if not source.is_file():
        raise ValueError(
            f"{source}: found no such file; wanted what {files.facts} names, as seen from where the run was made"
        )
    split = read_split(files.split)
    pins = read_pins(source, options["keep_empty_text"], options["keep_no_image"])[0]
    pins = [pin for pin in pins if split.get(pin.id) in SEEN]
    owners = {row["id"]: row["user"] for row in rows_of(files.split)}
    if any(owners[pin.id] != pin.user for pin in pins):
        raise ValueError(_others(source, folder))
    return sorted(pins, key=lambda pin: (SEEN.index(split[pin.id]), pin.user))


def _others(source, folder):
    return f"{source}: found other pins; wanted those that {folder} was made from: run tools/run_identification again"


def _facts(folder):
    files = ExperimentFiles(folder)
    needed = [files.split, files.dictionary]
    needed += [files.model(name) / f"final.{kind}" for name in ("text", "image") for kind in ("npz", "json")]
    _check_there(files.facts)
    facts = read_document(files.facts)
    if "text" in facts["inputs"]:
        raise ValueError(
            f"{folder}: found a run on a ready tf-idf matrix, whose words are not known; wanted a run on texts"
        )
    for path in needed:
        _check_there(path)
    if "unit_features" not in facts["options"]:
        raise ValueError(
            f"{folder}: found a run of an earlier version; wanted one of this: run tools/run_identification again"
        )
    return facts


def _check_there(path):
    if not path.is_file():
        raise ValueError(
            f"{path}: found no such file; wanted it, made by: tools/reproduce (without --row and --posts), "
            "or by tools/run_identification"
        )
