#!/usr/bin/env python3
"""Dictionaries through lifescope and the libraries that researchers use: do they still compute the same?

Each library makes dictionaries with random weights and saves them; `lifescoped import-sae` and `export-sae` turn each into
every format that can hold it, and the library of that format loads the result. Features and reconstructions of random
rows are compared with those of the original, all in the library's float32. Prints a table in Markdown: the largest
deviation, or '-' where the format says that it cannot hold the dictionary.

    python3 -m venv venv && venv/bin/pip install torch sae-lens dictionary-learning eai-sparsify
    venv/bin/python tests/bench/exchange_formats.py --lifescoped build/dev/bin/lifescoped

openai has no package to install, so its file is checked with torch.load(weights_only=True) and its published formula;
gemma_scope with numpy and its formula.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch

os.environ.setdefault("SPARSIFY_DISABLE_TRITON", "1")  # read when sparsify is imported; Triton wants a GPU
D, N, K, D_OUT, ROWS = 24, 96, 6, 20, 64
MODEL, HOOK, OUT_HOOK = "base", "blocks.1.hook_resid_post", "blocks.1.hook_mlp_out"
FORMATS = ("saelens", "sparsify", "dictionary_learning", "openai", "gemma_scope")


def randomise(module):
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            scale = 0.1 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5
            parameter.copy_(torch.randn_like(parameter) * scale)
            if "threshold" in name:
                parameter.abs_()
    return module


# Each maker saves a dictionary in a folder and gives the function rows -> (features, reconstruction).
def saelens(name, **options):
    from sae_lens.saes import gated_sae, jumprelu_sae, standard_sae, topk_sae, transcoder
    modules = (gated_sae, jumprelu_sae, standard_sae, topk_sae, transcoder)

    def make(folder):
        find = lambda suffix: next(getattr(m, name + suffix) for m in modules if hasattr(m, name + suffix))
        config = find("Config")(d_in=D, d_sae=N, dtype="float32", device="cpu", **options)
        config.metadata.hook_name, config.metadata.model_name = HOOK, MODEL
        if "d_out" in options:
            config.metadata.hook_name_out = OUT_HOOK
        sae = randomise(find("")(config))
        sae.save_model(folder)
        return of_saelens(sae)

    return make


def of_saelens(sae):
    def run(x):
        acts = sae.encode(x)
        acts = acts.to_dense() if acts.is_sparse else acts
        # The whole of it: a skip connection is no part of decode.
        return acts, sae(x)

    return run


def sparsify(**options):
    from sparsify import SparseCoder, SparseCoderConfig

    def make(folder):
        coder = randomise(SparseCoder(D, SparseCoderConfig(num_latents=N, k=K, **options)))
        coder.save_to_disk(folder)
        return of_sparsify(coder)

    return make


def of_sparsify(coder):
    def run(x):
        x = x.to(coder.dtype)
        out = coder(x)
        acts = torch.zeros(len(x), N, dtype=x.dtype).scatter(1, out.latent_indices.long(), out.latent_acts)
        return acts, out.sae_out

    return run


def learning(name, *arguments, **options):
    from dictionary_learning import dictionary
    from dictionary_learning.trainers import batch_top_k, matryoshka_batch_top_k, top_k
    modules = (dictionary, top_k, batch_top_k, matryoshka_batch_top_k)

    def make(folder):
        ae = randomise(next(getattr(m, name) for m in modules if hasattr(m, name))(D, N, *arguments, **options))
        if name in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
            ae.threshold.fill_(0.3)
        folder.mkdir()
        torch.save(ae.state_dict(), folder / "ae.pt")
        trainer = {"dict_class": name, "activation_dim": D, "dict_size": N, "lm_name": MODEL, "submodule_name": HOOK}
        if arguments:
            trainer["k"] = arguments[0]
        (folder / "config.json").write_text(json.dumps({"trainer": trainer}))
        return of_learning(ae)

    return make


def of_learning(ae):
    def run(x):
        acts = ae.encode(x)
        return acts, ae.decode(acts)

    return run


def load_saelens(folder):
    from sae_lens import SAE
    return of_saelens(SAE.load_from_disk(folder, device="cpu"))


def load_sparsify(folder):
    from sparsify import SparseCoder
    return of_sparsify(SparseCoder.load_from_disk(folder))


def load_learning(folder):
    from dictionary_learning.dictionary import AutoEncoder
    from dictionary_learning.utils import load_dictionary
    config = json.loads((folder / "config.json").read_text())
    if config["trainer"]["dict_class"] == "AutoEncoder":
        # load_dictionary would bring directions to norm 1 and scale features.
        return of_learning(AutoEncoder.from_pretrained(folder / "ae.pt", normalize_decoder=False))
    return of_learning(load_dictionary(str(folder), "cpu")[0])


def load_openai(folder):
    state = torch.load(folder / "autoencoder.pt", weights_only=True)
    is_topk = state["activation"] == "TopK"

    def run(x):
        mean, std = 0, 1
        if is_topk:
            mean = x.mean(1, keepdim=True)
            std = (x - mean).std(1, keepdim=True)
            x = (x - mean) / (std + 1e-5)
        acts = (x - state["pre_bias"]) @ state["encoder.weight"].T + state["latent_bias"]
        if is_topk:
            values, indices = acts.topk(state["activation_state_dict"]["k"], dim=1)
            acts = torch.zeros_like(acts).scatter(1, indices, values)
        acts = acts.relu()
        return acts, (acts @ state["decoder.weight"].T + state["pre_bias"]) * std + mean

    return run


def load_gemma(folder):
    arrays = {name: torch.from_numpy(array) for name, array in numpy.load(folder / "params.npz").items()}

    def run(x):
        pre = x @ arrays["W_enc"] + arrays["b_enc"]
        acts = pre.relu() * (pre > arrays["threshold"])
        return acts, acts @ arrays["W_dec"] + arrays["b_dec"]

    return run


LOADERS = dict(zip(FORMATS, (load_saelens, load_sparsify, load_learning, load_openai, load_gemma)))


def makers():
    return {
        "SAELens standard": saelens("StandardSAE"),
        "SAELens standard, input not centred": saelens("StandardSAE", apply_b_dec_to_input=False),
        "SAELens gated": saelens("GatedSAE"),
        "SAELens jumprelu": saelens("JumpReLUSAE"),
        "SAELens topk": saelens("TopKSAE", k=K, rescale_acts_by_decoder_norm=False),
        "SAELens topk, selected by decoder norm": saelens("TopKSAE", k=K, rescale_acts_by_decoder_norm=True),
        "SAELens topk, layer norm": saelens("TopKSAE", k=K, normalize_activations="layer_norm",
                                            rescale_acts_by_decoder_norm=False),
        "SAELens transcoder": saelens("Transcoder", d_out=D_OUT, apply_b_dec_to_input=False),
        "SAELens skip_transcoder": saelens("SkipTranscoder", d_out=D_OUT, apply_b_dec_to_input=False),
        "SAELens jumprelu_transcoder": saelens("JumpReLUTranscoder", d_out=D_OUT, apply_b_dec_to_input=False),
        "sparsify SAE": sparsify(),
        "sparsify skip transcoder": sparsify(transcode=True, skip_connection=True),
        "dictionary_learning AutoEncoder": learning("AutoEncoder"),
        "dictionary_learning AutoEncoderNew": learning("AutoEncoderNew"),
        "dictionary_learning GatedAutoEncoder": learning("GatedAutoEncoder"),
        "dictionary_learning JumpReluAutoEncoder": learning("JumpReluAutoEncoder"),
        "dictionary_learning AutoEncoderTopK": learning("AutoEncoderTopK", K),
        "dictionary_learning BatchTopKSAE": learning("BatchTopKSAE", K),
        "dictionary_learning MatryoshkaBatchTopKSAE": learning("MatryoshkaBatchTopKSAE", K, [16, 32, 48]),
    }


def lifescoped(binary, *arguments):
    """What the verb said, and whether it succeeded."""
    done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode == 0


def exchange(binary, name, make, x, work):
    """Largest deviation by format; None where it cannot be held."""
    expected = make(work / "source")
    where = ("--model", MODEL, "--hook", HOOK)
    if "transcoder" in name:
        where += ("--output-hook", OUT_HOOK)
    said, done = lifescoped(binary, "import-sae", "--home", work, "--name", "it", "--from", work / "source", *where)
    if not done:
        raise SystemExit(f"{name}: {said}")
    deviations = {}
    for target in FORMATS:
        said, done = lifescoped(binary, "export-sae", "--home", work, "--name", "it", "--format", target, "--to",
                                work / target)
        if not done:
            if "cannot hold" not in said:
                raise SystemExit(f"{name} as {target}: {said}")
            deviations[target] = None
            continue
        run = LOADERS[target](work / target)
        deviations[target] = max(float((a - b).abs().max()) for a, b in zip(run(x), expected(x)))
    return deviations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lifescoped", required=True, type=pathlib.Path)
    parser.add_argument("--tolerance", type=float, default=5e-6)
    options = parser.parse_args()
    torch.manual_seed(1)
    x = torch.randn(ROWS, D)
    worst = 0
    sources = makers()  # imports the libraries, which print
    print(f"| written by | {' | '.join(FORMATS)} |\n|---|" + "---|" * len(FORMATS))
    with torch.no_grad():
        for name, make in sources.items():
            with tempfile.TemporaryDirectory() as folder:
                deviations = exchange(options.lifescoped.resolve(), name, make, x, pathlib.Path(folder))
            cells = ["-" if value is None else f"{value:.1e}" for value in deviations.values()]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
            worst = max([worst, *(value for value in deviations.values() if value is not None)])
    print(f"\nlargest deviation {worst:.1e}, expected at most {options.tolerance:.1e}")
    return 0 if worst <= options.tolerance else 1


if __name__ == "__main__":
    sys.exit(main())
