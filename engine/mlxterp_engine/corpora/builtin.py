"""`builtin`: the language reference that comes with every CPython, so that no download is needed.

`pydoc_data.topics` holds what `help("assignment")` prints: about 80 topics of technical English
with code in it. Its words differ a little from one Python version to the next, which is why the
version is in the description and a hash is kept with every number that was measured on it.
"""

from __future__ import annotations

import sys
from functools import cache

from mlxterp_engine.corpora.corpus import Corpus, Text

EVERY = 5  # of the topics in alphabetical order, each fifth is held out


@cache
def builtin() -> Corpus:
    """Whole topics on either side: no paragraph of a held-out topic is ever trained on."""
    from pydoc_data.topics import topics

    texts = [Text(name, topics[name]) for name in sorted(topics)]
    held_out = tuple(text for place, text in enumerate(texts, 1) if place % EVERY == 0)
    training = tuple(text for place, text in enumerate(texts, 1) if place % EVERY)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    description = (
        f"the language reference of CPython {version} (pydoc_data.topics), {len(texts)} topics; "
        f"every {EVERY}th in alphabetical order, {len(held_out)} in all, is held out"
    )
    return Corpus("builtin", description, training, held_out)
