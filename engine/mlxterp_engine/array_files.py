"""What reading a .npz file can fail with: a broken, foreign, packed or locked one, or none."""

from __future__ import annotations

import lzma
import zipfile
import zlib

UNREADABLE = (
    OSError,
    ValueError,  # no array, an unknown header, pickled objects
    EOFError,
    MemoryError,  # a header that promises more than there can be
    RuntimeError,  # a password is needed; NotImplementedError: packed in a way that is not known
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
