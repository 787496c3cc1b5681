#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: tests/fuzz/make_corpus.py GOLDEN, the folder of the golden data.

Small pickles of every protocol, pickles that do harm when they are run, archives as torch.save makes them, arrays as NumPy
does, safetensors files, a dictionary of each format and architecture, activation shards, tables and persons. The standard library alone; nothing that is written here is ever loaded here.
"""
import io
import json
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


def safetensors(tensors):
    """A safetensors file of float32 tensors: {name: (shape, values)}."""
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        end = len(data) + 4 * len(values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), end]}
        data += struct.pack(f"<{len(values)}f", *values)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parts(*files):
    """Several files as one input (tests/fuzz/engine_input.h)."""
    return b"\n%%\n".join(json.dumps(file).encode() if isinstance(file, dict) else file for file in files)


def dictionary(names, **others):
    """Tensors of a dictionary of width 2 with 3 features, by what each is for; then others."""
    sizes = {"W_enc": [2, 3], "W_enc.T": [3, 2], "W_dec": [3, 2], "W_dec.T": [2, 3], "features": [3], "width": [2]}
    tensors = {name: (sizes[kind], [0.5] * (sizes[kind][0] * sizes[kind][-1] if len(sizes[kind]) == 2 else sizes[kind][0]))
               for name, kind in names.items()}
    return tensors | {name: (shape, [0.5] * count) for name, (shape, count) in others.items()}


def state_dict(tensors, others=b""):
    """The pickle of tensors that lie in the storages 0 (64 floats) and 1 (8 int64), and of other entries."""
    out = b"\x80\x02}("
    for name, (shape, values) in tensors.items():
        strides = [shape[1], 1] if len(shape) == 2 else [1] * len(shape)
        out += text(name) + tensor("FloatStorage", "0", 64, 0, shape, strides)
    return out + others + b"u."


def write_dictionaries():
    """The folders of the formats of dictionaries."""
    matrices = {"W_enc": "W_enc", "W_dec": "W_dec", "b_dec": "width"}
    plain = dictionary(matrices | {"b_enc": "features"})
    base = {"d_in": 2, "d_sae": 3, "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": True,
            "normalize_activations": "none", "reshape_activations": "none", "architecture": "standard",
            "metadata": {"sae_lens_version": "6.18.0", "model_name": "m", "hook_name": "h", "hook_head_index": None}}
    scaler = {"scaling_factor": 2.5}
    skipping = base | {"architecture": "skip_transcoder", "d_out": 2, "apply_b_dec_to_input": False}
    skipping["metadata"] = base["metadata"] | {"hook_name_out": "o"}
    flat = {"architecture": "standard", "d_in": 2, "d_sae": 3, "activation_fn_str": "topk",
            "activation_fn_kwargs": {"k": 1}, "finetuning_scaling_factor": False, "hook_name": "h",
            "normalize_activations": False, "dtype": "torch.float32", "device": "cpu"}
    for name, config, tensors in (
            ("standard", base, plain),
            ("scaled", base | {"normalize_activations": "expected_average_only_in"}, plain),
            ("jumprelu", base | {"architecture": "jumprelu"}, dictionary(matrices | {"b_enc": "features",
                                                                                     "threshold": "features"})),
            ("gated", base | {"architecture": "gated"}, dictionary(matrices | {"b_gate": "features", "r_mag": "features",
                                                                               "b_mag": "features"})),
            ("topk", base | {"architecture": "topk", "k": 1, "rescale_acts_by_decoder_norm": True}, plain),
            ("batchtopk", base | {"architecture": "batchtopk", "k": 1.5, "rescale_acts_by_decoder_norm": True},
             plain | {"topk_threshold": ([], [0.5])}),
            ("skip_transcoder", skipping, plain | {"W_skip": ([2, 2], [0.5] * 4)}),
            ("codebook", base | {"architecture": "codebook", "k": 1, "apply_b_dec_to_input": False}, {"codes": ([3, 2], [0.5] * 6), "norm_weight": ([2], [0.5] * 2), "norm_bias": ([2], [0.5] * 2)}),
            ("sparse_coding", base | {"architecture": "sparse_coding", "l1_coefficient": 0.1, "iterations": 2},
             dictionary({"W_dec": "W_dec", "b_dec": "width"})),
            ("before_6", flat, plain | {"scaling_factor": ([3], [1] * 3)})):
        write("saelens", name, parts(config, scaler, safetensors(tensors)))
    scaled = base | {"normalize_activations": "expected_average_only_in"}
    write("saelens", "scaled_beyond_float64", parts(scaled, {"scaling_factor": 5e-324}, safetensors(plain)))

    config = {"activation": "topk", "expansion_factor": 2, "normalize_decoder": True, "num_latents": 3, "k": 1,
              "multi_topk": False, "skip_connection": False, "transcode": False, "d_in": 2}
    tensors = dictionary({"encoder.weight": "W_enc.T", "encoder.bias": "features", "W_dec": "W_dec", "b_dec": "width"})
    write("sparsify", "topk", parts(config, safetensors(tensors)))
    skipping = config | {"skip_connection": True, "transcode": True}
    write("sparsify", "skip", parts(skipping, safetensors(tensors | {"W_skip": ([2, 2], [0.5] * 4)})))

    floats, whole = struct.pack("<64f", *[0.5] * 64), struct.pack("<8q", *[1] * 8)
    k = text("k") + tensor("LongStorage", "1", 8, 0, [], [])
    linear = {"encoder.weight": "W_enc.T", "decoder.weight": "W_dec.T"}
    threshold = {"threshold": ([], 1)}
    for name, tensors, others in (
            ("AutoEncoder", dictionary(linear | {"encoder.bias": "features", "bias": "width"}), b""),
            ("AutoEncoderNew", dictionary(linear | {"encoder.bias": "features", "decoder.bias": "width"}), b""),
            ("GatedAutoEncoder", dictionary(linear | {"decoder_bias": "width", "r_mag": "features",
                                                      "gate_bias": "features", "mag_bias": "features"}), b""),
            ("JumpReluAutoEncoder", dictionary(matrices | {"b_enc": "features", "threshold": "features"}), b""),
            ("AutoEncoderTopK", dictionary(linear | {"encoder.bias": "features", "b_dec": "width"}), k),
            ("BatchTopKSAE", dictionary(linear | {"encoder.bias": "features", "b_dec": "width"}, **threshold), k),
            ("MatryoshkaBatchTopKSAE", dictionary(matrices | {"b_enc": "features"}, **threshold), k)):
        trainer = {"dict_class": name, "activation_dim": 2, "dict_size": 3, "k": 1, "lm_name": "m", "submodule_name": None}
        write("dictionary_learning", name, parts({"trainer": trainer}, state_dict(tensors, others), floats, whole))

    tensors = dictionary({"encoder.weight": "W_enc.T", "latent_bias": "features", "decoder.weight": "W_dec.T",
                          "pre_bias": "width", "stats_last_nonzero": "features"})
    topk = (text("activation") + text("TopK") + text("activation_state_dict") + b"}(" + text("k") + number(1) +
            text("postact_fn") + text("ReLU") + b"u")
    write("openai", "topk", parts(state_dict(tensors, topk), floats))
    write("openai", "relu", parts(state_dict(tensors, text("activation") + text("ReLU")), floats))

    def npy(shape, count):
        shape = f"({', '.join(map(str, shape))},)"
        return array(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}", struct.pack(f"<{count}f", *[0.5] * count))

    write("gemma_scope", "jumprelu", parts(npy([2, 3], 6), npy([3, 2], 6), npy([3], 3), npy([2], 2), npy([3], 3)))


def write_rows():
    """Activation shards, tables and persons."""
    shards = {"format": "lifescope activations 1", "dtype": "float32", "sites": [{"name": "h", "width": 2}],
              "shards": [{"file": "shard-00000.safetensors", "rows": 4, "sha256": "DIGEST"}], "origin": {}}
    write("activation_shards", "one", parts(shards, safetensors({"activations": ([4, 2], [0.5] * 8)})))
    write("csv", "plain.csv", b"\x00PERSON,DAY\n1,2010-01-01\n2,\n")
    write("csv", "quoted.csv", b'\x05\xef\xbb\xbfA;B\r\n"a ""b""\nc";\xe9\r\n\r\n1;2;3\r\n"x"y;z\r\n')
    person = {"person_id": 7, "sentences": [["A", "B"], ["C"]], "abspos": [1, 2], "age": [30, 31.0], "segment": [1, 2],
              "timecut_pos": 1, "background": {"origin": None, "gender": "Male", "birth_month": 6, "birth_year": 1957}}
    write("person_document", "full.json", json.dumps(person).encode())
    light = {"person_id": 7, "sentences": [["A"]], "abspos": [1], "age": [30], "background": None}
    write("person_document", "light.json", json.dumps(light).encode())


def write(folder, name, data):
    (HERE / folder).mkdir(exist_ok=True)
    (HERE / folder / name).write_bytes(data)


def main():
    write_dictionaries()
    write_rows()
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
