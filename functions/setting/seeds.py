"""Random numbers that depend on what is being made, never on time, worker or order."""

import hashlib
import json

import numpy as np


def seed_words(*identity):
    """The first 128 bits of the SHA-256 of ``identity`` (texts, numbers, truth values, None, lists and dictionaries of
    them) written as canonical JSON: four integers in [0, 2**32).
    """
    text = json.dumps(identity, sort_keys=True, separators=(',', ':'), ensure_ascii=True)
    digest = hashlib.sha256(text.encode('ascii')).digest()
    return [int.from_bytes(digest[4 * i : 4 * i + 4], 'little') for i in range(4)]


def random_state(*identity):
    """``numpy.random.RandomState`` of ``identity``; its streams are frozen across NumPy versions."""
    return np.random.RandomState(np.array(seed_words(*identity), dtype=np.uint32))
