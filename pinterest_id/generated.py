"""Generated pins with the statistics of the paper: for tests and for timing at the published size.

Each user has favourite topics; a pin shows one of them, in words and in image
features, and topics are shared between users, so that classes overlap as they
do on Pinterest. Nothing here stands in for a result on real pins.
"""

from dataclasses import dataclass

import numpy as np

from pinterest_id.records import Pin

N_TOPICS = 60
TOPICS_PER_USER = 6


@dataclass(frozen=True)
class GeneratedPins:
    """Texts, image features (float32 [N, D], as after a ReLU) and users of N generated pins."""

    texts: list
    images: np.ndarray
    users: np.ndarray

    def pins(self):
        """Return the pins as records, with names in place of pictures."""
        return [
            Pin(f"p{i:06d}", user, None, f"{i:06d}.jpg", text)
            for i, (user, text) in enumerate(zip(self.users, self.texts, strict=True))
        ]


def generate_pins(
    n_users=117, pins_per_user=600, n_features=4096, n_words=60_000,
    text_signal=0.45, image_noise=1.0, seed=0,
):  # fmt: skip
    """Generate pins whose text and image both tell something of their user.

    Parameters
    ----------
    n_users, pins_per_user, n_features, n_words : int
        Sizes; `n_words` is the language's, of which the dictionary keeps those in two pins or more.
    text_signal : float in 0..1
        Share of words drawn from the pin's topic; the others follow the whole language.
    image_noise : float
        Standard deviation of what an image shows beside its topic.
    seed : int

    Returns
    -------
    GeneratedPins
        Pins of one user stand together.
    """
    rng = np.random.default_rng(seed)
    tastes = _tastes(n_users, rng)
    topics = np.concatenate([rng.choice(N_TOPICS, pins_per_user, p=taste) for taste in tastes])
    codes = np.repeat(np.arange(n_users), pins_per_user)
    texts = _texts(topics, codes, n_users, n_words, text_signal, rng)
    images = _images(topics, codes, n_users, n_features, image_noise, rng)
    return GeneratedPins(texts, images, np.array([f"user{code:03d}" for code in codes]))


def _tastes(n_users, rng):
    """Return each user's share of topics, [n_users, N_TOPICS]."""
    tastes = np.zeros((n_users, N_TOPICS))
    for taste in tastes:
        taste[rng.choice(N_TOPICS, TOPICS_PER_USER, replace=False)] = rng.dirichlet(np.ones(TOPICS_PER_USER))
    return tastes


def _texts(topics, codes, n_users, n_words, signal, rng):
    lengths = _lengths(codes, n_users, rng)
    zipf = 1 / np.arange(1, n_words + 1) ** 1.05
    cumulative = np.cumsum(zipf / zipf.sum())
    ranks = np.searchsorted(cumulative, rng.random(lengths.sum()))
    # A topic's words are the language's in another order: frequent here, rare elsewhere.
    orders = np.stack([rng.permutation(n_words) for _ in range(N_TOPICS)])
    of_topic = rng.random(ranks.size) < signal
    ranks[of_topic] = orders[np.repeat(topics, lengths)[of_topic], ranks[of_topic]]
    words = np.array([f"word{i}" for i in range(n_words)])[ranks]
    return [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])]


def _lengths(codes, n_users, rng):
    """Words a pin: median about 4, mean about 8.5, from 1 to 552 (paper, section 4)."""
    habit = rng.normal(0, 0.6, n_users)
    lengths = np.exp(np.log(4.3) + habit[codes] + rng.normal(0, 0.85, codes.size))
    return np.clip(np.rint(lengths), 1, 552).astype(int)


def _images(topics, codes, n_users, n_features, noise, rng, n_latent=64, rows=8192):
    topic_means = rng.normal(size=(N_TOPICS, n_latent))
    user_means = 0.3 * rng.normal(size=(n_users, n_latent))
    # Later latent directions weigh less, as in the decaying spectrum of fc7.
    mixing = (rng.normal(size=(n_latent, n_features)) / np.sqrt(1 + np.arange(n_latent))[:, None]).astype("f4")
    images = np.empty((codes.size, n_features), dtype=np.float32)
    for start in range(0, codes.size, rows):
        part = slice(start, start + rows)
        latent = topic_means[topics[part]] + user_means[codes[part]]
        latent = (latent + noise * rng.normal(size=latent.shape)).astype(np.float32)
        fine = rng.standard_normal((len(latent), n_features), dtype=np.float32)
        np.maximum(latent @ mixing + fine - 1.5, 0, out=images[part])
    return images
