"""Pins of which every number is known: twelve users whose texts and pictures say opposite things, and an oracle.

The oracle knows the words that count (no text is cleaned here) and the paper's formulas; it has scikit-learn's
liblinear and nothing of this package.
"""

import json
import random
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.linear_model import LogisticRegression

USERS = [f"user {letter}" for letter in "abcdefghijkl"]
SIZES = {"train": 8, "validation": 4, "test": 4}
GRID = (0.1, 1, 10, 100)  # section 3.1


@dataclass
class KnownPin:
    """A pin, the words of its text that count, the rest of its text, and its image features."""

    id: str
    user: int
    part: str
    words: list
    noise: list = field(default_factory=list)
    image: np.ndarray = None
    tuned: np.ndarray = None

    @property
    def text(self):
        return " ".join([*self.noise, *self.words])


def make_pins(seed):
    """Return the pins, in no order of user or part."""
    rng, pins = random.Random(seed), []
    for user in range(len(USERS)):
        for part, count in SIZES.items():
            pins += [_pin(f"{part[:2]}{user:02d}{number}", user, part, number, rng) for number in range(count)]
    _plant_words(pins)
    rng.shuffle(pins)
    return pins


def _pin(id_, user, part, number, rng):
    """Train: mostly one's own topic. Test: the text often says the next user, the picture another one."""
    told = user if rng.random() < {"train": 0.8, "validation": 0.6, "test": 0.4}[part] else (user + 1) % len(USERS)
    seen = user if rng.random() < {"train": 0.8, "validation": 0.6, "test": 0.3}[part] else (user + 5) % len(USERS)
    words = [f"topic{told:02d}"] * (1 + rng.randrange(2)) + [f"pair{user // 2}"] * (rng.random() < 0.6)
    if part != "test":  # what a large C learns by heart, and what then misleads it
        words += [f"heart{rng.randrange(40):02d}" for _ in range(3)]
    if number == 0 and user % 3 == 0:
        words += [f"long{user:02d}"] * 12
    picture = np.array([rng.gauss(0, 0.5) for _ in range(20)], np.float32)
    picture[seen] += 2
    tuned = np.array([rng.gauss(0, 0.5) for _ in range(16)], np.float32)
    tuned[user if rng.random() < 0.7 else (user + 2) % len(USERS)] += 2
    return KnownPin(id_, user, part, words, [], picture / (2 + number), tuned)


def _plant_words(pins):
    """Words that betray which pins were looked at, and what cleaning must take away or leave."""
    of = {part: [pin for pin in pins if pin.part == part] for part in SIZES}
    for pin in of["validation"][:3]:
        pin.words.append("validated")  # in the final dictionary alone
    for pin in of["test"][:6]:
        pin.words.append("tested")  # in no dictionary
    of["train"][0].words.append("bridge")  # in one training and one validation pin: in the final dictionary alone
    of["validation"][5].words.append("bridge")
    of["train"][1].words.append("lonely")  # in one training and one test pin: in no dictionary
    of["test"][7].words.append("lonely")
    for pin in of["train"][4:7]:
        pin.words += ["y" * 30, "starred", "tagged"]
        pin.noise += ["x" * 31, "q", "the", "https://a.com/topic00", "#", "*"]


def write_pins(folder, pins):
    """Write pins.jsonl, split.csv, fc7 and tuned of known pins, features in another order than the pins."""
    lines = [
        {"id": pin.id, "user": USERS[pin.user], "board": None, "image": f"{pin.id}.jpg", "text": _marked(pin)}
        for pin in pins
    ]
    (folder / "pins.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "parts.csv").write_text("id,split\n" + "".join(f"{pin.id},{pin.part}\n" for pin in pins))
    turned = pins[::-1]
    for name, kind in (("fc7", "image"), ("tuned", "tuned")):
        np.save(folder / f"{name}.npy", np.stack([getattr(pin, kind) for pin in turned]))
        (folder / f"{name}.ids.txt").write_text("".join(f"{pin.id}\n" for pin in turned))


def _marked(pin):
    return pin.text.replace("starred", "**Starred**").replace("tagged", "#TAGGED")


class Oracle:
    """What the papers' formulas give for known pins.

    Attributes
    ----------
    tested : list of KnownPin
        In the order of user, then of the file.
    codes : int [N]
    C : dict
        Modality -> the chosen C.
    curves : dict
        Modality -> accuracy in % of each C on the validation pins.
    dictionary : list of str
        Of training and validation pins.
    scores : dict
        Slug -> probabilities, or products of them, [N, K].
    matrices : dict
        Modality -> [training, validation, test] rows of the final models.
    validated : dict
        Modality -> probabilities of the validation pins by models that have not seen them.
    """

    def __init__(
        self,
        pins,
        features=("image",),
        *,
        normalize=False,
        grid=GRID,
        top=10,
        cosine=("text", "image"),
        stop_words=True,
    ):
        if not stop_words:
            pins = [replace(pin, words=pin.words + ["the"] * pin.noise.count("the")) for pin in pins]
        self.grid, self.top, self.cosine = grid, top, cosine
        train, validation, self.tested = (
            [pin for pin in sorted(pins, key=lambda pin: pin.user) if pin.part == part] for part in SIZES
        )
        self.parts = train, validation, self.tested
        self.codes = np.array([pin.user for pin in self.tested])
        self.first_dictionary, self.dictionary = dictionary(train), dictionary(train + validation)
        self.C, self.curves, self.scores, self.validated, self.matrices = {}, {}, {}, {}, {}
        first = [tfidf(part, train, self.first_dictionary) for part in (train, validation)]
        final = [tfidf(part, train + validation, self.dictionary) for part in self.parts]
        text, self.validated["text"] = self._fit("text", *first, final)
        self.scores["text"], self.matrices["text"] = text, final
        for name in features:
            final = [_unit(np.stack([getattr(pin, name) for pin in part]), normalize) for part in self.parts]
            own, self.validated[name] = self._fit(name, *final[:2], final)
            suffix = "" if name == "image" else "_fine_tuned"
            self.scores[f"images{suffix}"], self.matrices[name] = own, final
            self.scores[f"cf{suffix}"] = text * own
            self.scores[f"cf_ref{suffix}"] = self._refined(text * own, {"text": self.matrices["text"], "image": final})
        image = self.scores["images"]
        self.scores |= {f"linear_{weight}": weight * image + (1 - weight) * text for weight in (0.3, 0.5, 0.7)}

    def _fit(self, name, train, validation, final):
        users = [np.array([pin.user for pin in part]) for part in self.parts]
        known = {C: probabilities(train, users[0], validation, C) for C in self.grid}
        self.curves[name] = [100 * float(np.mean(known[C].argmax(axis=1) == users[1])) for C in self.grid]
        self.C[name] = self.grid[int(np.argmax(self.curves[name]))]  # the smallest of the best
        seen = np.vstack(final[:2])
        test = probabilities(seen, np.concatenate(users[:2]), final[2], self.C[name])
        return test, known[self.C[name]]

    def _refined(self, products, matrices):
        """Section 3.1: the ten likeliest users, each times the largest mean cosine with his training pins."""
        modalities = [matrices[name] for name in self.cosine]
        owners = np.array([pin.user for part in self.parts[:2] for pin in part])
        cosines = np.mean([_unit(m[2]) @ _unit(np.vstack(m[:2])).T for m in modalities], axis=0)
        refined = np.zeros_like(products)
        for row, product in enumerate(products):
            for user in np.argsort(-product, kind="stable")[: self.top]:
                refined[row, user] = product[user] * max(1e-12, cosines[row, owners == user].max())
        return refined


def dictionary(pins):
    """Section 3: the words of at least two pins."""
    found = Counter(word for pin in pins for word in set(pin.words))
    return sorted(word for word, count in found.items() if count > 1)


def tfidf(pins, learned, words):
    """Counts times ln((1 + pins) / (1 + pins with the word)) + 1, rows of length 1."""
    with_word = np.array([sum(word in pin.words for pin in learned) for word in words])
    counts = np.array([[pin.words.count(word) for word in words] for pin in pins], float)
    return _unit(counts * (np.log((1 + len(learned)) / (1 + with_word)) + 1))


def probabilities(X, users, other, C):
    """One liblinear a user, sigmoids brought to sum 1."""
    columns = []
    for user in range(len(USERS)):
        model = LogisticRegression(solver="liblinear", C=C, tol=1e-8, max_iter=100_000)
        columns.append(model.fit(X.astype(float), users == user).predict_proba(other.astype(float))[:, 1])
    found = np.column_stack(columns)
    return found / found.sum(axis=1, keepdims=True)


def _unit(rows, wanted=True):
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1) if wanted else rows
