"""Arrays and JSON packed into bytes as safetensors, to travel between processes without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from napari_cpclnet.files.bounded import load_json

_LENGTH_BYTES = 8  # of the header, in front of it


def pack_arrays(arrays: Mapping[str, NDArray[Any]], metadata: Any) -> bytes:
    """Arrays by name, and what there is to say of them, as bytes.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Numbers or truth values; byte order and strides are not kept.
    metadata : JSON value
    """
    plain = {
        name: np.ascontiguousarray(a, a.dtype.newbyteorder("=")).reshape(a.shape)
        for name, a in arrays.items()
    }
    return bytes(safetensors.numpy.save(plain, {"facts": json.dumps(metadata)}))


def unpack_arrays(data: bytes) -> tuple[dict[str, NDArray[Any]], Any]:
    """Arrays and metadata as they were packed.

    Raises
    ------
    ValueError
        If these bytes were never packed, or are damaged.
    """
    try:
        arrays = safetensors.numpy.load(data)
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
        header = load_json(data[_LENGTH_BYTES:end].decode())
        return arrays, load_json(header["__metadata__"]["facts"])
    except (SafetensorError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError("what came is damaged") from error
