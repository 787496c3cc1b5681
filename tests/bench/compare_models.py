#!/usr/bin/env python3
"""Masked-token loss of models on the same documents with the same masks.

    compare_models.py ENCODED MODEL...

ENCODED is encoded_L256.safetensors of a golden corpus, each MODEL a folder with model.safetensors and hparams.json. The
first 75 validation documents, their last whole events in 192 slots, masked four times; computed by the PyTorch
reference. Needs torch, performer-pytorch 1.1.4 and local-attention 1.9.14.
"""

import sys

import numpy
import torch

from pretrain_reference import load_model, read_safetensors

DOCUMENTS, SLOTS, MASKINGS, RATIO = 75, 192, 4, 0.3
SEP, MASK, UNK, FIRST_CONTENT = 2, 3, 9, 10


def clipped(rows):
    """The prefix and the longest suffix of whole events that fits."""
    length = rows.shape[1]
    ends = numpy.flatnonzero(rows[0] == SEP) + 1
    starts = [end for end in ends if length - end + ends[0] <= SLOTS]
    return rows if length <= SLOTS else numpy.concatenate([rows[:, :ends[0]], rows[:, starts[0]:]], axis=1)


def validation_documents(encoded):
    tensors = {name: tensor.numpy() for name, tensor in read_safetensors(encoded).items()}
    rows = numpy.stack([tensors[name] for name in ("token", "abspos", "age", "segment")]).astype(numpy.int64)
    chosen = numpy.flatnonzero(tensors["split"] == 1)[:DOCUMENTS]
    return [clipped(rows[:, tensors["offsets"][i]:tensors["offsets"][i + 1]]) for i in chosen]


def masked(documents, vocabulary, seed):
    random = numpy.random.default_rng(seed)
    inputs = torch.zeros(len(documents), 4, SLOTS, dtype=torch.long)
    mask = torch.zeros(len(documents), SLOTS, dtype=torch.bool)
    positions = torch.full((len(documents), int(SLOTS * RATIO)), SLOTS - 1)
    tokens = torch.zeros_like(positions)
    for i, document in enumerate(documents):
        token, length = document[0].copy(), document.shape[1]
        legal = [p for p in range(1, length) if token[p] not in (SEP, UNK)]
        chosen = random.choice(legal, min(int(length * RATIO), len(legal)), replace=False)
        tenth = len(chosen) // 10
        positions[i, :len(chosen)], tokens[i, :len(chosen)] = torch.tensor(chosen), torch.tensor(token[chosen])
        token[chosen[tenth:]] = MASK
        token[chosen[len(chosen) - tenth:]] = random.integers(FIRST_CONTENT, vocabulary, tenth)
        inputs[i, :, :length] = torch.tensor(numpy.concatenate([token[None], document[1:]]))
        mask[i, :length] = True
    return {"input_ids": inputs, "padding_mask": mask, "target_pos": positions, "target_tokens": tokens,
            "target_sop": torch.zeros(len(documents), dtype=torch.long)}


def main():
    encoded, folders = sys.argv[1], sys.argv[2:]
    documents = validation_documents(encoded)
    for folder in folders:
        model = load_model(folder).eval()
        with torch.no_grad():
            losses = [model.losses(masked(documents, model.h["vocab_size"], seed), [1.0, 1.0, 1.0])[0].item()
                      for seed in range(MASKINGS)]
        print(f"{folder}: {sum(losses) / MASKINGS:.3f} nats ({min(losses):.3f} to {max(losses):.3f})")


if __name__ == "__main__":
    main()
