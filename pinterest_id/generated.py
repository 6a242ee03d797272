"""Generated pins with the statistics of the paper, for tests and for timing at the published size.

Each user has favourite topics, most of them shared with other users and one his
own; a pin shows one of them, in words and in image features; some pins are variations
of another pin of their user. So classes overlap as on Pinterest, and some users are
far easier to tell than others. Nothing here stands in for a result on real pins.
"""

from dataclasses import dataclass

import numpy as np

from pinterest_id.records import Pin

SHARED_TOPICS = 60
TOPICS_PER_USER = 6
GAIN, GAIN_SPREAD = 0.25, 0.5  # units of fc7 differ in strength: log-normal, rows of 4,096 are 84 long


@dataclass(frozen=True)
class GeneratedPins:
    """Texts, image features (float32 [N, D]) and users of N generated pins.

    Image features are like raw fc7 after its ReLU: none is negative, most are 0, the heaviest axis is
    their mean's, and of 4,096 features the eigenvalues of X'X span six decades.
    """

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
    n_users=117,
    pins_per_user=600,
    n_features=4096,
    n_words=18_000,
    text_signal=0.45,
    image_noise=3.0,
    variations=0.2,
    seed=0,
):
    """Generate pins whose text and image both tell something of their user.

    Parameters
    ----------
    n_users, pins_per_user, n_features, n_words : int
        Sizes; `n_words` is the language's, of which the dictionary keeps those in two pins or more.
    text_signal : float in 0..1
        Share of words drawn from the pin's topic; the others follow the whole language.
    image_noise : float
        Standard deviation of what an image shows beside its topic.
    variations : float in 0..1
        Share of pins that are variations of another pin of the same user.
    seed : int

    Returns
    -------
    GeneratedPins
        Pins of one user stand together.
    """
    rng = np.random.default_rng(seed)
    tastes = _tastes(n_users, rng)
    topics = np.concatenate([rng.choice(len(taste), pins_per_user, p=taste) for taste in tastes])
    codes = np.repeat(np.arange(n_users), pins_per_user)
    models = np.arange(codes.size)  # the pin that each pin varies, or itself
    varied = rng.random(codes.size) < variations
    models[varied] = codes[varied] * pins_per_user + rng.integers(0, pins_per_user, varied.sum())
    texts = _texts(topics[models], models, codes, n_users, n_words, text_signal, rng)
    images = _images(topics[models], models, codes, n_users, n_features, image_noise, rng)
    return GeneratedPins(texts, images, np.array([f"user{code:03d}" for code in codes]))


def _tastes(n_users, rng):
    """Return each user's share of topics, [n_users, SHARED_TOPICS + n_users]; the last are one user's own."""
    tastes = np.zeros((n_users, SHARED_TOPICS + n_users))
    for user, taste in enumerate(tastes):
        own_share = rng.beta(1, 2)
        shared = rng.choice(SHARED_TOPICS, TOPICS_PER_USER, replace=False)
        taste[shared] = (1 - own_share) * rng.dirichlet(np.ones(TOPICS_PER_USER))
        taste[SHARED_TOPICS + user] = own_share
    return tastes / tastes.sum(axis=1, keepdims=True)


def _texts(topics, models, codes, n_users, n_words, signal, rng):
    lengths = _lengths(codes, n_users, rng)
    zipf = 1 / np.arange(1, n_words + 1) ** 1.05
    cumulative = np.cumsum(zipf / zipf.sum())
    ranks = np.searchsorted(cumulative, rng.random(lengths.sum()))
    # A topic's words are the language's in another order: frequent here, rare elsewhere.
    of_word, of_topic = np.repeat(topics, lengths), rng.random(ranks.size) < signal
    for topic in np.unique(topics):
        here = of_topic & (of_word == topic)
        ranks[here] = rng.permutation(n_words)[ranks[here]]
    ranks = _vary(ranks, lengths, models, rng)
    words = np.array([f"word{i}" for i in range(n_words)])[ranks]
    return [" ".join(part) for part in np.split(words, np.cumsum(lengths)[:-1])]


def _vary(ranks, lengths, models, rng):
    """Take half of a variation's words from the pin that it varies."""
    starts = np.cumsum(lengths) - lengths
    source = np.repeat(models, lengths)
    taken = (source != np.repeat(np.arange(lengths.size), lengths)) & (rng.random(ranks.size) < 0.5)
    at = starts[source[taken]] + rng.integers(0, lengths[source[taken]])
    result = ranks.copy()
    result[taken] = ranks[at]
    return result


def _lengths(codes, n_users, rng):
    """Words a pin: median about 4, mean about 8.5, from 1 to 552 (paper, section 4)."""
    habit = rng.normal(0, 0.7, n_users)
    lengths = np.exp(np.log(4.4) + habit[codes] + rng.normal(0, 0.85, codes.size))
    return np.clip(np.rint(lengths), 1, 552).astype(int)


def _images(topics, models, codes, n_users, n_features, noise, rng, n_latent=64, rows=8192):
    topic_means = rng.normal(size=(SHARED_TOPICS + n_users, n_latent))
    user_means = 0.1 * rng.normal(size=(n_users, n_latent))
    # Later latent directions weigh less, as in the decaying spectrum of fc7.
    mixing = (rng.normal(size=(n_latent, n_features)) / np.sqrt(1 + np.arange(n_latent))[:, None]).astype("f4")
    latent = topic_means[topics] + user_means[codes] + noise * rng.normal(size=(codes.size, n_latent))
    latent = latent[models] + np.where(models == np.arange(codes.size), 0, 0.5)[:, None] * rng.normal(size=latent.shape)
    images = np.empty((codes.size, n_features), dtype=np.float32)
    for start in range(0, codes.size, rows):
        part = latent[start : start + rows].astype(np.float32)
        fine = rng.standard_normal((len(part), n_features), dtype=np.float32)
        np.maximum(part @ mixing + fine - 1.5, 0, out=images[start : start + rows])
    images *= (GAIN * np.exp(GAIN_SPREAD * rng.normal(size=n_features))).astype(np.float32)
    return images
