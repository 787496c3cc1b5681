"""Numbers as they travel: tensors in JSON and .safetensors files, with nothing but the standard library."""

import base64
import json
import math
import struct

CODES = {"DATA_TYPE_FLOAT32": "f", "DATA_TYPE_FLOAT64": "d", "DATA_TYPE_INT64": "q", "DATA_TYPE_INT32": "i"}
SAFETENSORS_CODES = {"F32": "f", "F64": "d", "I64": "q", "I32": "i"}


def unpack(code, data):
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


def tensor(message):
    """The elements of a lifescope.v1.Tensor."""
    values = unpack(CODES[message["dataType"]], base64.b64decode(message["data"]))
    if len(values) != math.prod(map(int, message["shape"])):
        raise AssertionError(f"{len(values)} elements for shape {message['shape']}")
    return values


def sparse(message):
    """lifescope.v1.SparseFeatures as {position: {feature: activation}}."""
    offsets, features, values = (tensor(message[key]) for key in ("rowOffsets", "features", "values"))
    return {position: dict(zip(features[begin:end], values[begin:end]))
            for position, begin, end in zip(tensor(message["positions"]), offsets, offsets[1:])}


def read_safetensors(path):
    """({name: (shape, values)}, metadata) of a file, checked for gaps."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors, end = {}, 0
    for name, entry in header.items():
        begin, next_end = entry["data_offsets"]
        if begin != end:
            raise AssertionError(f"{name} begins at {begin}, expected {end}")
        end = next_end
        values = unpack(SAFETENSORS_CODES[entry["dtype"]], data[8 + length + begin:8 + length + end])
        tensors[name] = entry["shape"], values
    if length % 8 != 0 or 8 + length + end != len(data):
        raise AssertionError(f"{path} is not as long as its header says")
    return tensors, metadata
