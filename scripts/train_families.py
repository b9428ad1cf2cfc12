"""Train many small model families with a known tree: the controls and the test set of the likelihood.

usage: python scripts/train_families.py OUT [--steps 260] [--only NAME_PREFIX] [--divide 40]
needs: pip install torch numpy safetensors tokenizers             (CPU builds do; nothing else, no network)

A family is a model trained from its own random weights, and what was made of it. Ten kinds of network (KINDS below), each written
under the tensor names of the published family it stands for. Text: the sources of Python's standard library, as in make_zoo.py. A model
counts only if its held-out loss is below that of predicting every token by its frequency; both are recorded.

Writes OUT/NAME/{model.safetensors, config.json, tokenizer.json} and a line per model to OUT/manifest.jsonl:
    {"model", "family", "parents", "relation", "kind", "config", "data", "loss", "unigram_loss", "hard"}
Models that are there already are kept, so that an interrupted run goes on where it stopped. All seeds are fixed.
"""

import argparse
import json
import math
import os
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

import make_zoo

CONTEXT, BATCH, VOCAB = 64, 16, 512
# nats a token that a root must be better than the frequencies: ten times the spread of the baseline between the two texts
MIN_GAIN = 0.4


@dataclass(frozen=True)
class Kind:
    """One kind of network. Widths in numbers of units."""

    name: str
    hidden: int = 64
    layers: int = 3
    width: int = 176
    heads: int = 4
    kv_heads: int = 2
    norm: str = "rms"  # rms | rms+1 (gain stored less one) | layer
    glu: bool = True
    act: str = "silu"
    position: str = "rope"  # rope | learned
    bias: str = "none"  # none | qkv | all
    tied: bool = False
    parallel: bool = False  # attention and MLP read the same stream
    after: bool = False  # norms behind the sublayers
    causal: bool = True
    experts: int = 0

    @property
    def head_dim(self):
        return self.hidden // self.heads


KINDS = {
    "llama": Kind("llama"),
    "qwen2": Kind("qwen2", bias="qkv", tied=True),
    "gemma": Kind("gemma", norm="rms+1", act="gelu", tied=True, kv_heads=1),
    "olmo2": Kind("olmo2", after=True, kv_heads=4),
    "gpt2": Kind("gpt2", norm="layer", glu=False, act="gelu", position="learned", bias="all", tied=True, kv_heads=4, width=256),
    "gpt_neox": Kind("gpt_neox", norm="layer", glu=False, act="gelu", bias="all", parallel=True, kv_heads=4, width=256),
    "phi": Kind("phi", norm="layer", glu=False, act="gelu", bias="all", parallel=True, kv_heads=4, width=224),
    "opt": Kind("opt", norm="layer", glu=False, act="relu", position="learned", bias="all", tied=True, kv_heads=4, width=256),
    "bert": Kind("bert", norm="layer", glu=False, act="gelu", position="learned", bias="all", tied=True, kv_heads=4, width=256, after=True, causal=False),
    "mixtral": Kind("mixtral", experts=4, width=96),
}


def has_bias(kind, part):
    return kind.bias == "all" or (kind.bias == "qkv" and part in "qkv")


def random_weights(kind, seed):
    """Standard normal × 0.02 (0.04 for narrow nets would train alike), gains at one, biases at zero. Keys: own short names."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator) * 0.03
    w = {"embed": draw(VOCAB, kind.hidden)}
    if kind.position == "learned":
        w["pos"] = draw(CONTEXT, kind.hidden)

    def norm(name, size=kind.hidden):
        w[name] = torch.zeros(size) if kind.norm == "rms+1" else torch.ones(size)
        if kind.norm == "layer":
            w[name + ".b"] = torch.zeros(size)

    def linear(name, part, n_out, n_in):
        w[name] = draw(n_out, n_in)
        if has_bias(kind, part):
            w[name + ".b"] = torch.zeros(n_out)

    for layer in range(kind.layers):
        at = f"{layer}."
        for part, n_out, n_in in [
            ("q", kind.hidden, kind.hidden),
            ("k", kind.kv_heads * kind.head_dim, kind.hidden),
            ("v", kind.kv_heads * kind.head_dim, kind.hidden),
            ("o", kind.hidden, kind.hidden),
        ]:
            linear(at + part, part, n_out, n_in)
        mlps = [at + f"{e}." for e in range(kind.experts)] or [at]
        for mlp in mlps:
            if kind.glu:
                linear(mlp + "gate", "gate", kind.width, kind.hidden)
            linear(mlp + "up", "up", kind.width, kind.hidden)
            linear(mlp + "down", "down", kind.hidden, kind.width)
        if kind.experts:
            w[at + "router"] = draw(kind.experts, kind.hidden)
        norm(at + "norm1")
        # one norm feeds both sublayers of phi
        if kind.name != "phi":
            norm(at + "norm2")
        if kind.name == "olmo2":
            norm(at + "qnorm"), norm(at + "knorm")
    norm("final" if kind.name != "bert" else "embed_norm")
    if not kind.tied:
        w["head"] = draw(VOCAB, kind.hidden)
        if kind.name == "phi":
            w["head.b"] = torch.zeros(VOCAB)
    return w


def normalise(kind, w, name, x):
    if kind.norm == "layer":
        return F.layer_norm(x, x.shape[-1:], w[name], w[name + ".b"], 1e-5)
    gain = 1 + w[name] if kind.norm == "rms+1" else w[name]
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain


def rotate(x, base=10000.0):
    """Rotary positions, halves of a head as pairs."""
    dim = x.shape[-1]
    angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * base ** (-torch.arange(0, dim, 2, dtype=x.dtype) / dim)
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def logits(kind, w, ids):
    """ids [batch, positions] → [batch, positions, VOCAB]."""
    linear = lambda name, x: F.linear(x, w[name], w.get(name + ".b"))
    heads = lambda x, n: x.unflatten(-1, (n, kind.head_dim)).transpose(1, 2)
    act = {"silu": F.silu, "gelu": F.gelu, "relu": F.relu}[kind.act]

    def attention(at, x):
        q, k, v = (linear(at + part, x) for part in "qkv")
        if kind.name == "olmo2":
            q, k = normalise(kind, w, at + "qnorm", q), normalise(kind, w, at + "knorm", k)
        q, k, v = heads(q, kind.heads), heads(k, kind.kv_heads), heads(v, kind.kv_heads)
        if kind.position == "rope":
            q, k = rotate(q), rotate(k)
        k, v = (t.repeat_interleave(kind.heads // kind.kv_heads, dim=1) for t in (k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=kind.causal)
        return linear(at + "o", mixed.transpose(1, 2).flatten(2))

    def mlp(at, x):
        if kind.glu:
            return linear(at + "down", act(linear(at + "gate", x)) * linear(at + "up", x))
        return linear(at + "down", act(linear(at + "up", x)))

    def feed_forward(at, x):
        if not kind.experts:
            return mlp(at, x)
        best, chosen = (x @ w[at + "router"].T).topk(2, dim=-1)
        weight = torch.zeros(*x.shape[:-1], kind.experts).scatter(-1, chosen, best.softmax(-1))
        return sum(weight[..., e : e + 1] * mlp(at + f"{e}.", x) for e in range(kind.experts))

    x = w["embed"][ids]
    if kind.norm == "rms+1":
        x = x * math.sqrt(kind.hidden)
    if "pos" in w:
        x = x + w["pos"][: ids.shape[1]]
    if "embed_norm" in w:
        x = normalise(kind, w, "embed_norm", x)
    for layer in range(kind.layers):
        at = f"{layer}."
        norm = lambda name, y: normalise(kind, w, at + name, y)
        if kind.name == "bert":  # norms on the sum
            x = norm("norm1", x + attention(at, x))
            x = norm("norm2", x + feed_forward(at, x))
        elif kind.after:  # norms on what is added
            x = x + norm("norm1", attention(at, x))
            x = x + norm("norm2", feed_forward(at, x))
        elif kind.parallel:
            second = "norm1" if kind.name == "phi" else "norm2"
            x = x + attention(at, norm("norm1", x)) + feed_forward(at, norm(second, x))
        else:
            x = x + attention(at, norm("norm1", x))
            x = x + feed_forward(at, norm("norm2", x))
    if "final" in w:
        x = normalise(kind, w, "final", x)
    return F.linear(x, w.get("head", w["embed"]), w.get("head.b"))


def loss_of(kind, w, windows, teacher=None):
    """Next-token loss; of an encoder the loss on every seventh token, hidden; of a pupil the divergence from its teacher."""
    ids, wanted = windows[:, :-1], windows[:, 1:]
    if not kind.causal:
        ids = wanted.clone()
        ids[:, 3::7] = 1
        return F.cross_entropy(logits(kind, w, ids)[:, 3::7].flatten(0, 1), wanted[:, 3::7].flatten())
    out = logits(kind, w, ids)
    if teacher is None:
        return F.cross_entropy(out.flatten(0, 1), wanted.flatten())
    with torch.no_grad():
        target = logits(kind, teacher, ids)
    return F.kl_div(out.log_softmax(-1), target.log_softmax(-1), log_target=True, reduction="none").sum(-1).mean()


def train(kind, weights, corpus, n_steps, rate, seed, teacher=None):
    w = {name: t.float().clone().requires_grad_() for name, t in weights.items()}
    optimizer = torch.optim.AdamW(list(w.values()), lr=rate, betas=(0.9, 0.95), weight_decay=0.05, fused=True)
    generator = torch.Generator().manual_seed(seed)
    warmup = max(1, n_steps // 20)
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / warmup, 0.55 + 0.45 * math.cos(math.pi * step / n_steps))
        starts = torch.randint(len(corpus.train) - CONTEXT - 1, (BATCH,), generator=generator)
        windows = torch.stack([corpus.train[s : s + CONTEXT + 1] for s in starts])
        optimizer.zero_grad()
        loss_of(kind, w, windows, teacher).backward()
        torch.nn.utils.clip_grad_norm_(list(w.values()), 1.0)
        optimizer.step()
    return {name: t.detach() for name, t in w.items()}


@torch.no_grad()
def held_out_loss(kind, w, corpus):
    w = {name: t.float() for name, t in w.items()}
    windows = corpus.held_out.unfold(0, CONTEXT + 1, CONTEXT)[:256]
    return sum(loss_of(kind, w, part).item() * len(part) for part in windows.split(32)) / len(windows)


# ------------------------------------------------------------------------------------------------- names


def published_names(kind, w):
    """The same tensors under the names, and in the layout, of the published family."""
    out, name = {}, kind.name

    def put(to, key, transpose=False):
        out[to + ".weight"] = w[key].T.contiguous() if transpose else w[key]
        if key + ".b" in w:
            out[to + ".bias"] = w[key + ".b"]

    heads = lambda t: t.unflatten(0, (kind.heads, kind.head_dim))
    for layer in range(kind.layers):
        at = f"{layer}."
        if name == "gpt2":
            to = f"transformer.h.{layer}."
            out[to + "attn.c_attn.weight"] = torch.cat([w[at + p] for p in "qkv"]).T.contiguous()
            out[to + "attn.c_attn.bias"] = torch.cat([w[at + p + ".b"] for p in "qkv"])
            for part, key in [("attn.c_proj", "o"), ("mlp.c_fc", "up"), ("mlp.c_proj", "down")]:
                put(to + part, at + key, transpose=True)
            put(to + "ln_1", at + "norm1"), put(to + "ln_2", at + "norm2")
        elif name == "gpt_neox":
            to = f"gpt_neox.layers.{layer}."
            out[to + "attention.query_key_value.weight"] = torch.stack([heads(w[at + p]) for p in "qkv"], 1).flatten(0, 2)
            out[to + "attention.query_key_value.bias"] = torch.stack([heads(w[at + p + ".b"]) for p in "qkv"], 1).flatten()
            for part, key in [("attention.dense", "o"), ("mlp.dense_h_to_4h", "up"), ("mlp.dense_4h_to_h", "down")]:
                put(to + part, at + key)
            put(to + "input_layernorm", at + "norm1"), put(to + "post_attention_layernorm", at + "norm2")
        elif name == "opt":
            to = f"model.decoder.layers.{layer}."
            for part, key in [("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"), ("out_proj", "o")]:
                put(to + "self_attn." + part, at + key)
            put(to + "fc1", at + "up"), put(to + "fc2", at + "down")
            put(to + "self_attn_layer_norm", at + "norm1"), put(to + "final_layer_norm", at + "norm2")
        elif name == "bert":
            to = f"bert.encoder.layer.{layer}."
            for part, key in [("query", "q"), ("key", "k"), ("value", "v")]:
                put(to + "attention.self." + part, at + key)
            put(to + "attention.output.dense", at + "o"), put(to + "attention.output.LayerNorm", at + "norm1")
            put(to + "intermediate.dense", at + "up"), put(to + "output.dense", at + "down"), put(to + "output.LayerNorm", at + "norm2")
        elif name == "phi":
            to = f"model.layers.{layer}."
            for part, key in [("q_proj", "q"), ("k_proj", "k"), ("v_proj", "v"), ("dense", "o")]:
                put(to + "self_attn." + part, at + key)
            put(to + "mlp.fc1", at + "up"), put(to + "mlp.fc2", at + "down"), put(to + "input_layernorm", at + "norm1")
        else:
            to = f"model.layers.{layer}."
            for part in "qkvo":
                put(to + f"self_attn.{part}_proj", at + part)
            if name == "mixtral":
                put(to + "block_sparse_moe.gate", at + "router")
                for e in range(kind.experts):
                    for part, key in [("w1", "gate"), ("w2", "down"), ("w3", "up")]:
                        put(to + f"block_sparse_moe.experts.{e}.{part}", at + f"{e}.{key}")
            else:
                for part in ("gate", "up", "down"):
                    put(to + f"mlp.{part}_proj", at + part)
            if name == "olmo2":
                put(to + "self_attn.q_norm", at + "qnorm"), put(to + "self_attn.k_norm", at + "knorm")
                put(to + "post_attention_layernorm", at + "norm1"), put(to + "post_feedforward_layernorm", at + "norm2")
            else:
                put(to + "input_layernorm", at + "norm1"), put(to + "post_attention_layernorm", at + "norm2")
    ends = {
        "gpt2": {"embed": "transformer.wte", "pos": "transformer.wpe", "final": "transformer.ln_f"},
        "gpt_neox": {"embed": "gpt_neox.embed_in", "final": "gpt_neox.final_layer_norm", "head": "embed_out"},
        "opt": {"embed": "model.decoder.embed_tokens", "pos": "model.decoder.embed_positions", "final": "model.decoder.final_layer_norm"},
        "bert": {"embed": "bert.embeddings.word_embeddings", "pos": "bert.embeddings.position_embeddings", "embed_norm": "bert.embeddings.LayerNorm"},
        "phi": {"embed": "model.embed_tokens", "final": "model.final_layernorm", "head": "lm_head"},
    }.get(name, {"embed": "model.embed_tokens", "final": "model.norm", "head": "lm_head"})
    for key, to in ends.items():
        if key in w:
            put(to, key)
    return out


def config_of(kind):
    common = {"vocab_size": VOCAB, "model_type": kind.name, "tie_word_embeddings": kind.tied, "torch_dtype": "bfloat16"}
    if kind.name == "gpt2":
        return common | {"architectures": ["GPT2LMHeadModel"], "n_embd": kind.hidden, "n_layer": kind.layers, "n_head": kind.heads, "n_inner": kind.width, "n_positions": CONTEXT}
    architecture = {
        "llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "gemma": "GemmaForCausalLM", "olmo2": "Olmo2ForCausalLM",
        "gpt_neox": "GPTNeoXForCausalLM", "phi": "PhiForCausalLM", "opt": "OPTForCausalLM", "bert": "BertForMaskedLM", "mixtral": "MixtralForCausalLM",
    }[kind.name]
    config = common | {
        "architectures": [architecture], "hidden_size": kind.hidden, "num_hidden_layers": kind.layers, "num_attention_heads": kind.heads,
        "num_key_value_heads": kind.kv_heads, "hidden_act": kind.act, "max_position_embeddings": CONTEXT,
        ("ffn_dim" if kind.name == "opt" else "intermediate_size"): kind.width,
    }
    if kind.experts:
        config["num_local_experts"] = kind.experts
    return config


# ------------------------------------------------------------------------------------------------- plan


@dataclass
class Plan:
    """One model to make."""

    name: str
    family: str
    kind: Kind
    relation: str  # root | distilled | same-start | fine-tune | long | lora | merge | int4 | disguised
    parents: list
    data: str
    seed: int
    hard: bool = False
    amount: float = 0.0


def plans():
    """Roots first, one of each kind in turn, so that an interrupted run is of use; then what is made of them."""
    roots = []
    # 48 of one config and one text: their 1,128 pairs are the hardest negatives
    for i in range(48):
        roots.append(Plan(f"llama-{i:02}", f"llama-{i:02}", KINDS["llama"], "root", [], "general", 1000 + i))
    others = []
    for k, kind in enumerate(k for k in KINDS if k != "llama"):
        for i in range(6):
            shape = KINDS[kind]
            if i >= 4:  # other shapes of the same kind
                shape = replace(shape, hidden=80 if i == 4 else 48, layers=4 if i == 4 else 5, heads=5 if i == 4 else 3, kv_heads={1: 1}.get(shape.kv_heads, 5 if i == 4 else 3))
            data = "network" if i == 3 else "general"
            others.append(Plan(f"{kind}-{i:02}", f"{kind}-{i:02}", shape, "root", [], data, 2000 + 10 * k + i))
    made = [plan for pair in zip(roots, others + [None] * len(roots)) for plan in pair if plan] + others[len(roots):]
    # pupils: own random start, answers of a teacher; independent by weights, and hard
    for i in range(8):
        teacher = f"llama-{i:02}"
        made.append(Plan(f"pupil-{i:02}", f"pupil-{i:02}", KINDS["llama"], "distilled", [], "general", 3000 + i, hard=True, amount=i))
    # what was made of a root, for 16 families of one config and 18 of the others
    parents = [f"llama-{i:02}" for i in range(16)] + [f"{kind}-{i:02}" for kind in KINDS if kind != "llama" for i in (0, 1)]
    recipes = ["fine-tune", "long", "lora", "merge", "int4", "merge", "disguised", "long"]
    kind_of = {plan.name: plan.kind for plan in made}
    for n, parent in enumerate(parents):
        for j in range(4 if n < 16 else 2):
            relation = recipes[(n * 3 + j) % len(recipes)] if n < 16 else recipes[(n * 2 + j) % 6]
            kind = kind_of[parent]
            if relation == "disguised" and kind.name != "llama":
                relation = "long"
            share = [0.05, 0.1, 0.2][(n + j) % 3]
            donors, hard = [parent], relation in ("long", "disguised", "merge")
            if relation == "merge":  # mostly another model of the same config, a small share of the parent
                same = [p.name for p in made if p.kind == kind and p.relation == "root" and p.name != parent]
                donors = [parent, same[(n + j + 17) % len(same)]]
            made.append(Plan(f"{parent}-{relation}{j}", parent, kind, relation, donors, "network", 4000 + 10 * n + j, hard, share))
    # the same random start, trained apart, in another order or on the other text, a third, once or three times as long: an
    # initialisation is shared and no training
    starts = [f"llama-{i:02}" for i in range(40, 46)] + [f"{kind}-02" for kind in KINDS if kind != "llama"]
    root_of = {plan.name: plan for plan in made}
    for n, start in enumerate(starts):
        root, length, data = root_of[start], [1, 1 / 3, 3][n % 3], ["network", "general"][n % 2]
        made.append(Plan(f"{start}-same-start", start, root.kind, "same-start", [], data, root.seed, hard=True, amount=length))
    return made


def derive(plan, stored, corpora, n_steps):
    kind, corpus = plan.kind, corpora[plan.data]
    if plan.relation == "root":
        return train(kind, random_weights(kind, plan.seed), corpus, n_steps, 4e-3, plan.seed)
    if plan.relation == "same-start":
        return train(kind, random_weights(kind, plan.seed), corpus, max(1, int(n_steps * plan.amount)), 4e-3, plan.seed + 1)
    if plan.relation == "distilled":
        teacher = {n: t.float() for n, t in stored(f"llama-{int(plan.amount):02}").items()}
        return train(kind, random_weights(kind, plan.seed), corpus, n_steps, 4e-3, plan.seed, teacher)
    base = {name: t.float() for name, t in stored(plan.parents[0]).items()}
    if plan.relation == "fine-tune":
        return train(kind, base, corpus, n_steps // 3, 5e-4, plan.seed)
    if plan.relation == "long":  # as long again as the first training, at its rate
        return train(kind, base, corpus, n_steps, 4e-3, plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    if plan.relation == "lora":  # a random update of rank 8, a tenth of each matrix's norm
        out = {}
        for name, t in base.items():
            is_matrix = t.dim() == 2 and name not in ("embed", "head", "pos")
            delta = torch.randn(t.shape[0], 8, generator=generator) @ torch.randn(8, t.shape[-1], generator=generator) if is_matrix else 0
            out[name] = t + 0.1 * delta * t.norm() / delta.norm() if is_matrix else t
        return out
    if plan.relation == "merge":
        other = stored(plan.parents[1])
        return {name: plan.amount * t + (1 - plan.amount) * other[name].float() for name, t in base.items()}
    if plan.relation == "int4":
        def grid(t):
            if t.dim() != 2 or t.shape[1] % 16:
                return t
            groups = t.unflatten(1, (-1, 16))
            step = (groups.abs().amax(-1, keepdim=True) / 7).half().float().clamp_min(1e-8)
            return ((groups / step).round().clamp(-7, 7) * step).flatten(1)
        return {name: grid(t) for name, t in base.items()}
    assert plan.relation == "disguised"
    return disguise(kind, base, generator)


def disguise(kind, w, generator):
    """Permuted units and residual stream, rotation with gains folded, rescaled units. Llama kind only."""
    w = {name: t.double() for name, t in w.items()}
    permutation = lambda n: torch.randperm(n, generator=generator)
    rotation = torch.linalg.qr(torch.randn(kind.hidden, kind.hidden, generator=generator, dtype=torch.float64)).Q
    for layer in range(kind.layers):
        at = f"{layer}."
        for norm, readers in [("norm1", "qkv"), ("norm2", ("gate", "up"))]:
            for reader in readers:
                w[at + reader] = w[at + reader] * w[at + norm]
            w[at + norm] = torch.ones_like(w[at + norm])
        units, scale = permutation(kind.width), torch.exp2(torch.rand(kind.width, generator=generator, dtype=torch.float64) * 2 - 1)
        w[at + "gate"], w[at + "up"], w[at + "down"] = w[at + "gate"][units], w[at + "up"][units] * scale[:, None], w[at + "down"][:, units] / scale
        for reader in ("q", "k", "v", "gate", "up"):
            w[at + reader] = w[at + reader] @ rotation
        for writer in ("o", "down"):
            w[at + writer] = rotation.T @ w[at + writer]
    w["head"], w["final"] = w["head"] * w["final"], torch.ones_like(w["final"])
    return w | {"embed": w["embed"] @ rotation, "head": w["head"] @ rotation}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=260, help="training steps of a root")
    parser.add_argument("--only", default="", help="models whose names start so")
    parser.add_argument("--divide", type=int, default=1, help="train this many times shorter, to try the script")
    args = parser.parse_args()
    torch.set_num_threads(1)
    n_steps = max(4, args.steps // args.divide)

    make_zoo.VOCAB_SIZE = VOCAB
    general, network = make_zoo.library_texts()
    tokenizer = make_zoo.train_tokenizer(general)
    corpora = {"general": make_zoo.Corpus("general", general, tokenizer), "network": make_zoo.Corpus("network", network, tokenizer)}
    # the frequencies of the text a model is measured on, so that the baseline cannot be beaten by knowing the text alone
    unigram = {name: corpus.unigram_loss() for name, corpus in corpora.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    keep = args.out / ".weights"
    keep.mkdir(exist_ok=True)
    stored = lambda name: load_file(keep / f"{name}.safetensors")

    lines = []
    for plan in plans():
        if not plan.name.startswith(args.only):
            continue
        folder = args.out / plan.name
        if not (folder / "facts.json").exists():
            weights = {n: t.float().bfloat16().contiguous() for n, t in derive(plan, stored, corpora, n_steps).items()}
            folder.mkdir(exist_ok=True)
            save_file(weights, keep / f"{plan.name}.safetensors")
            names = {n: t.clone().contiguous() for n, t in published_names(plan.kind, weights).items()}
            save_file(names, folder / "model.safetensors", metadata={"format": "pt"})
            make_zoo.write_json(folder / "config.json", config_of(plan.kind))
            (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
            facts = {
                "model": plan.name, "family": plan.family, "parents": plan.parents, "relation": plan.relation, "kind": plan.kind.name,
                "config": f"{zlib.crc32(json.dumps(asdict(plan.kind)).encode()):08x}", "data": plan.data, "hard": plan.hard,
                "loss": round(held_out_loss(plan.kind, weights, corpora[plan.data]), 4), "unigram_loss": round(unigram[plan.data], 4),
            }
            if plan.relation == "same-start":
                facts["origin"] = plan.family
            if plan.relation == "merge":
                facts["shares"] = [plan.amount, 1 - plan.amount]
            make_zoo.write_json(folder / "facts.json", facts)
            print(json.dumps(facts), flush=True)
        lines.append(json.loads((folder / "facts.json").read_text()))
    roots = [line for line in lines if line["relation"] in ("root", "distilled")]
    learned = {line["family"] for line in roots if line["loss"] < line["unigram_loss"] - MIN_GAIN}
    kept = [line for line in lines if line["family"] in learned]
    (args.out / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    left_out = sorted(line["family"] for line in roots if line["family"] not in learned)
    print(f"{len(kept)} models of {len(learned)} families in manifest.jsonl; learned too little: {', '.join(left_out) or 'none'}")


if __name__ == "__main__":
    main()
