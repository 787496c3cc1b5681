"""A pre-training step of life2vec in PyTorch: padded documents, attention by performer_pytorch and local_attention.

Written from docs/model.md and docs/training.md, for measuring speed. `check` compares its losses with lifescope's on
the same weights, so that what is timed is the same function.
"""

import json
import math
import struct

import torch
import torch.nn.functional as F
from performer_pytorch.performer_pytorch import SelfAttention
from torch import nn

IGNORED = [0, 4, 5, 6, 7, 8]  # [PAD] and the placeholders stay out of the centre
NO_DECAY = ("bias", "norm", "age", "abspos", "token", "decoder.g")
DTYPES = {"F32": torch.float32, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "U8": torch.uint8,
          "BOOL": torch.bool}


def read_safetensors(path):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(bytes(data[8:8 + size]))
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        tensors[name] = torch.frombuffer(data[begin:end], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Time2Vec(nn.Module):
    def __init__(self, hidden, function):
        super().__init__()
        self.function = function
        self.w, self.b = nn.Parameter(torch.empty(1, hidden - 1)), nn.Parameter(torch.empty(1, hidden - 1))
        self.w0, self.b0 = nn.Parameter(torch.empty(1, 1)), nn.Parameter(torch.empty(1, 1))

    def forward(self, time):
        time = time.float()[..., None]
        vector = torch.cat([self.function(time * self.w + self.b), time * self.w0 + self.b0], dim=-1)
        return vector * (torch.arange(vector.shape[1]) >= 5)[None, :, None]


class Layer(nn.Module):
    def __init__(self, h):
        super().__init__()
        self.attention = SelfAttention(h["hidden_size"], heads=h["n_heads"], dim_head=h["hidden_size"] // h["n_heads"],
                                       local_heads=h["n_local"], local_window_size=h["local_window_size"],
                                       nb_features=h["num_random_features"], dropout=h["att_dropout"])
        if self.attention.local_attn is not None:
            self.attention.local_attn.rel_pos = None
        self.hidden2ff = nn.Linear(h["hidden_size"], h["hidden_ff"])
        self.ff2hidden = nn.Linear(h["hidden_ff"], h["hidden_size"])
        self.dropout = nn.Dropout(h["fw_dropout"])
        self.attention_gate, self.mlp_gate = nn.Parameter(torch.empty(1)), nn.Parameter(torch.empty(1))

    def forward(self, x, mask):
        x = x * mask[..., None]
        x = x + self.attention_gate * self.attention(x, mask=mask)
        return x + self.mlp_gate * self.ff2hidden(F.silu(self.dropout(self.hidden2ff(x))))


class Life2Vec(nn.Module):
    def __init__(self, h):
        super().__init__()
        hidden, self.h = h["hidden_size"], h
        self.token = nn.Parameter(torch.empty(h["vocab_size"], hidden))
        self.segment = nn.Parameter(torch.empty(4, hidden))
        self.age, self.abspos = Time2Vec(hidden, torch.cos), Time2Vec(hidden, torch.sin)
        self.age_gate, self.abspos_gate, self.segment_gate = (nn.Parameter(torch.empty(1)) for _ in range(3))
        self.layers = nn.ModuleList(Layer(h) for _ in range(h["n_encoders"]))
        self.v, self.g = nn.Linear(hidden, hidden), nn.Parameter(torch.empty(1))
        self.sop_in, self.sop_g = nn.Linear(hidden, hidden), nn.Parameter(torch.empty(1))
        self.sop_out = nn.Linear(hidden, 3)
        self.emb_dropout, self.dc_dropout = nn.Dropout(h["emb_dropout"]), nn.Dropout(h["dc_dropout"])
        self.register_buffer("counted", torch.ones(h["vocab_size"], 1))
        self.counted[IGNORED] = 0

    def centred(self, normalise):
        mean = (self.token * self.counted).sum(0) / self.counted.sum()
        centred = (self.token - mean) * self.counted
        return F.normalize(centred, dim=-1) if normalise else centred

    def forward(self, batch):
        token, abspos, age, segment = batch["input_ids"].unbind(1)
        x = self.centred(self.h["norm_input_emb"])[token]
        x = x + self.age_gate * self.age(age) + self.abspos_gate * self.abspos(abspos)
        x = self.emb_dropout(x + self.segment_gate * self.segment[segment])
        for layer in self.layers:
            x = layer(x, batch["padding_mask"])
        rows = x.gather(1, batch["target_pos"][..., None].expand(-1, -1, x.shape[2]))
        rows = self.emb_dropout(F.normalize(torch.tanh(self.v(self.emb_dropout(rows))), dim=-1))
        rows = self.g * rows @ self.centred(self.h["norm_output_emb"]).t()
        cls = F.silu(self.sop_in(x[:, 0]))
        cls = cls * self.sop_g / cls.norm(dim=-1, keepdim=True).clamp(min=self.h["epsilon"])
        return rows, self.sop_out(self.dc_dropout(cls))

    def losses(self, batch, class_weights):
        mlm, sop = self(batch)
        return (F.cross_entropy(mlm.flatten(0, 1), batch["target_tokens"].flatten(), ignore_index=0),
                F.cross_entropy(sop, batch["target_sop"], torch.tensor(class_weights), label_smoothing=0.1))


def published_names(model):
    """Published parameter name -> tensor of `model`."""
    names = {"transformer.embedding.token.parametrizations.weight.original": model.token,
             "transformer.embedding.segment.weight": model.segment,
             "transformer.embedding.res_age.weights": model.age_gate,
             "transformer.embedding.res_abs.weights": model.abspos_gate,
             "transformer.embedding.res_seg.weights": model.segment_gate, "mlm_decoder.g": model.g,
             "sop_decoder.norm.g": model.sop_g}
    parts = {"transformer.embedding.age": model.age, "transformer.embedding.abspos": model.abspos,
             "mlm_decoder.V": model.v, "sop_decoder.in_layer": model.sop_in, "sop_decoder.out_layer": model.sop_out}
    for i, layer in enumerate(model.layers):
        prefix = f"transformer.encoders.{i}."
        for linear in ("to_q", "to_k", "to_v", "to_out"):
            parts[f"{prefix}attention.attention.{linear}"] = getattr(layer.attention, linear)
        parts[f"{prefix}position_wise.hidden2ff"] = layer.hidden2ff
        parts[f"{prefix}position_wise.ff2hidden"] = layer.ff2hidden
        names[f"{prefix}attention_sublayer.norm.weights"] = layer.attention_gate
        names[f"{prefix}position_sublayer.norm.weights"] = layer.mlp_gate
        names[f"{prefix}attention.attention.fast_attention.projection_matrix"] = \
            layer.attention.fast_attention.projection_matrix
    for prefix, part in parts.items():
        names.update({f"{prefix}.{name}": tensor for name, tensor in part.named_parameters()})
    return names


def load_model(folder):
    """A model folder with the published names."""
    with open(f"{folder}/hparams.json", encoding="utf-8") as file:
        model = Life2Vec(json.load(file))
    weights = read_safetensors(f"{folder}/model.safetensors")
    with torch.no_grad():
        for name, tensor in published_names(model).items():
            tensor.copy_(weights[name])
    return model


class Trainer:
    """Holds a model and one batch, and makes optimiser steps on it."""

    def __init__(self, folder):
        self.batch = read_safetensors(f"{folder}/batch.safetensors")
        self.model = load_model(folder)
        groups = {False: [], True: []}
        for name, tensor in published_names(self.model).items():
            if isinstance(tensor, nn.Parameter):
                groups[any(part in name for part in NO_DECAY)].append(tensor)
        self.optimiser = torch.optim.AdamW([{"params": groups[False], "weight_decay": 0.01},
                                            {"params": groups[True], "weight_decay": 0.0}],
                                           lr=5e-3, betas=(0.9, 0.999), eps=self.model.h["epsilon"])
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimiser, max_lr=5e-3, total_steps=10 ** 6,
                                                            pct_start=0.05, div_factor=30)
        self.class_weights = [1 / 0.8, 1 / 0.1, 1 / 0.1]

    def check(self, mlm, sop):
        """Raises unless the losses in evaluation are those given."""
        self.model.eval()
        with torch.no_grad():
            found = [loss.item() for loss in self.model.losses(self.batch, self.class_weights)]
        self.model.train()
        if not all(math.isclose(a, b, rel_tol=1e-4) for a, b in zip(found, (mlm, sop))):
            raise AssertionError(f"losses {found} here, {[mlm, sop]} in lifescope")

    def step(self):
        self.optimiser.zero_grad()
        mlm, sop = self.model.losses(self.batch, self.class_weights)
        (0.8 * mlm + 0.2 * sop).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
