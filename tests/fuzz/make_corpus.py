#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: tests/fuzz/make_corpus.py GOLDEN, the folder of the golden data.

Small pickles of every protocol, pickles that do harm when they are run, archives as torch.save makes them, arrays as NumPy
does, and safetensors files. The standard library alone; nothing that is written here is ever loaded here.
"""
import io
import pathlib
import pickle
import struct
import sys
import zipfile

HERE = pathlib.Path(__file__).resolve().parent / "corpus"
VALUES = {"a": [1, -2, 300, 70000, -70000, 2**40, -2**40, 2**63, 1.5, -0.25, True, False, None, b"xy\0", ("t",),
                ("t", "u"), ("t", "u", "v"), ("t", "u", "v", "w"), (), "\u00e9"]}


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value)


def numbers(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(storage, key, count, offset, sizes, strides):
    """The opcodes of one tensor."""
    identity = b"(" + text("storage") + b"ctorch\n" + storage.encode() + b"\n" + text(key) + text("cpu") + number(count)
    return (b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + b"tQ" + number(offset) + numbers(sizes) +
            numbers(strides) + b"\x89ccollections\nOrderedDict\n)RtR")


def archive(pickled, storages):
    """A zip archive of a pickle and its storages."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as files:
        files.writestr(zipfile.ZipInfo("a/data.pkl"), pickled)
        files.writestr(zipfile.ZipInfo("a/version"), "3\n")
        for key, data in storages.items():
            files.writestr(zipfile.ZipInfo(f"a/data/{key}"), data)
    return out.getvalue()


def array(header, data, version=1):
    """A .npy file."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def arrays(members, compression):
    """A .npz archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as files:
        for name, data in members.items():
            files.writestr(zipfile.ZipInfo(name + ".npy"), data, compression)
    return out.getvalue()


def write(folder, name, data):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(data)


def main():
    for protocol in (2, 3, 4, 5):
        write("pickle", f"protocol{protocol}.pkl", pickle.dumps(VALUES, protocol=protocol))
    write("pickle", "set.pkl", pickle.dumps([{1}, frozenset({2}), bytearray(b"z")], protocol=5))
    write("pickle", "call_system.pkl", b"\x80\x02cposix\nsystem\n" + text("exit 1") + b"\x85R.")
    step = b"](" + 8 * b"h\x00" + b"eq\x00"
    laughs = b"\x80\x02]q\x000" + 39 * (step + b"0") + step + b"."
    write("pickle", "billion_laughs.pkl", laughs)
    keywords = b"}(" + b"".join(text(key) + number(1) for key in "abcdefgh") + b"uq\x010"
    calls = b"](" + 50 * b"h\x00)h\x01\x92" + b"e."
    write("pickle", "shared_keywords.pkl", b"\x80\x02ca\nB\nq\x000" + keywords + calls)
    write("pickle", "holds_itself.pkl", b"\x80\x02]q\x00h\x00a.")
    write("pickle", "deep.pkl", b"\x80\x02" + b"]" * 200 + b"a" * 199 + b".")
    for name, model in (("state_dict", "variant_a/transformer.pth"), ("lightning", "variant_a/model.ckpt")):
        with zipfile.ZipFile(pathlib.Path(sys.argv[1]) / "life2vec" / model) as files:
            (data,) = [entry for entry in files.namelist() if entry.endswith("/data.pkl")]
            write("pickle", f"{name}.pkl", files.read(data)[:6000] if name == "lightning" else files.read(data))

    # The storages that torch_tensors_fuzz.cc has: 64 bytes each of 0 and 1 under the keys 0 and 1.
    plain = tensor("FloatStorage", "0", 16, 0, [4, 4], [4, 1])
    turned = tensor("ShortStorage", "1", 32, 2, [5, 3], [1, 7])
    flags = tensor("BoolStorage", "0", 64, 0, [64], [1])
    wrapped = b"ctorch._utils\n_rebuild_parameter\n(" + plain + b"\x89ccollections\nOrderedDict\n)RtR"
    whole = b"\x80\x02}(" + text("p") + plain + text("t") + turned + text("b") + flags + text("w") + wrapped + b"u."
    outside = b"\x80\x02}" + text("p") + tensor("FloatStorage", "0", 16, 9, [4, 4], [4, 1]) + b"s."
    huge = b"\x80\x02}" + text("p") + tensor("FloatStorage", "0", 16, 0, [2**31 - 1] * 3, [2**31 - 1] * 3) + b"s."
    for name, pickled in (("whole", whole), ("outside", outside), ("huge", huge)):
        write("torch_tensors", f"{name}.pkl", pickled)
    storages = {"0": b"\0\1" * 32, "1": b"\0\1" * 32}
    write("torch_archive", "whole.pt", archive(whole, storages))
    write("torch_archive", "empty.pt", archive(b"\x80\x02}.", {}))
    matrix = array("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", bytes(24))
    vector = array("{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }", bytes(16), version=2)
    write("npy", "matrix.npy", matrix)
    write("npy", "vector.npy", vector)
    write("npy", "huge.npy", array("{'descr': '<f2', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", b""))
    write("npz", "stored.npz", arrays({"a": matrix, "b": vector}, zipfile.ZIP_STORED))
    write("npz", "deflated.npz", arrays({"a": matrix, "b": vector}, zipfile.ZIP_DEFLATED))
    for file in sorted((pathlib.Path(sys.argv[1]) / "sae/files/malformed").glob("*.safetensors")):
        write("safetensors", file.name, file.read_bytes())
    write("torch_archive", "legacy.pt", b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.")


if __name__ == "__main__":
    main()
