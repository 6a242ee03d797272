"""Shared pictures: which picture several users pinned (4.2% of the paper's, section 4)."""

import hashlib
from collections import defaultdict

from tqdm import tqdm


def digests(pins, folder):
    """Return {SHA-1 of the picture: [pins]} and the ids of pins whose picture is not there.

    Parameters
    ----------
    pins : list of Pin
    folder : Path
        What the pins' image paths begin at.
    """
    by_digest, missing = defaultdict(list), []
    for pin in tqdm(pins, desc="pictures of pins", unit="picture", delay=2):
        try:
            by_digest[hashlib.sha1((folder / pin.image).read_bytes()).digest()].append(pin)
        except OSError:
            missing.append(pin.id)
    return by_digest, missing


def shared_pct(pins, folder):
    """Return the share of pictures, in %, that two or more users pinned; None where pictures are not there."""
    by_digest, missing = digests(pins, folder)
    return None if missing else shared_of(by_digest)


def shared_of(by_digest):
    """Return the share, in %, of a `digests`' pictures that two or more users pinned."""
    return 100 * sum(len({pin.user for pin in same}) > 1 for same in by_digest.values()) / len(by_digest)
