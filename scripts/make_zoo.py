"""Train and derive the family zoo: seven small language models whose family tree is known.

usage: python scripts/make_zoo.py [OUT]          OUT defaults to zoo/ of this repository
       python scripts/make_zoo.py trial-zoo --steps-divisor 50     a smoke run of a minute

needs: pip install torch numpy safetensors tokenizers             (CPU builds do; nothing else, no network)

Llama-shaped models (RMSNorm, rotary positions, grouped-query attention, SwiGLU) with Hugging Face names, trained
from scratch on the sources of Python's own standard library: every machine that can run this has the text. All
seeds are fixed and one thread is used, so the same versions on the same kind of processor give the same bytes;
elsewhere the last bits differ. What was made, from what and how well it predicts text is written to truth.json,
what `cognate compare` must say for every pair to expected.json.
"""

import argparse
import itertools
import json
import math
import os
import platform
import sysconfig
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one order of work, one result

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN_SIZE, N_LAYERS, MLP_WIDTH, VOCAB_SIZE = 96, 4, 256, 768
N_HEADS, N_KV_HEADS, HEAD_DIM = 6, 2, 16
ROPE_THETA, NORM_EPS, CONTEXT = 10000.0, 1e-5, 128
BATCH = 16  # sequences of CONTEXT tokens per step

# Modules about the network and about documents are kept for fine-tuning; base models never see them.
NETWORK_MODULES = set(
    "asyncio concurrent email ensurepip ftplib html http imaplib json mailbox mimetypes nntplib poplib quopri selectors "
    "smtplib socket socketserver ssl telnetlib urllib uu venv wsgiref xml xmlrpc".split()
)
# tests and generated tables: large and unlike other code
LEFT_OUT = set("test tests idlelib lib2to3 pydoc_data site-packages dist-packages encodings turtledemo __pycache__".split())

MODEL_NAMES = ["base", "finetune", "independent-yinames", "disguised", "int4", "lora", "layer-dropped"]


# ---------------------------------------------------------------------------------------------------------- text


def library_texts():
    """Sources of the standard library: (texts for training from scratch, texts for fine-tuning), by path order."""
    root = Path(sysconfig.get_paths()["stdlib"])
    general, network = [], []
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if LEFT_OUT & set(parts):
            continue
        is_network = parts[0].removesuffix(".py") in NETWORK_MODULES
        (network if is_network else general).append(path.read_text(encoding="utf-8", errors="ignore"))
    return general, network


def train_tokenizer(texts):
    """Byte-level BPE over `texts`: any text can be written, no unknown characters."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class Corpus:
    """Token ids of a set of texts; every 20th text is held out for measuring the loss."""

    def __init__(self, name, texts, tokenizer):
        self.name = name
        encoded = [torch.tensor([0] + e.ids + [1]) for e in tokenizer.encode_batch(texts)]
        self.train = torch.cat([ids for i, ids in enumerate(encoded) if i % 20 != 19])
        self.held_out = torch.cat([ids for i, ids in enumerate(encoded) if i % 20 == 19])

    def batch(self, generator):
        """BATCH random windows of CONTEXT + 1 tokens."""
        starts = torch.randint(len(self.train) - CONTEXT - 1, (BATCH,), generator=generator)
        return torch.stack([self.train[s : s + CONTEXT + 1] for s in starts])

    def unigram_loss(self):
        """Nats per held-out token when every token is predicted by its frequency in training."""
        counts = torch.bincount(self.train, minlength=VOCAB_SIZE).double() + 1
        return -(counts / counts.sum()).log()[self.held_out].mean().item()


# --------------------------------------------------------------------------------------------------------- model
# A model is a dict of tensors under their Hugging Face names, [out, in] as torch stores them.


def layer_shapes(layer):
    shapes = {
        "input_layernorm": (HIDDEN_SIZE,),
        "self_attn.q_proj": (N_HEADS * HEAD_DIM, HIDDEN_SIZE),
        "self_attn.k_proj": (N_KV_HEADS * HEAD_DIM, HIDDEN_SIZE),
        "self_attn.v_proj": (N_KV_HEADS * HEAD_DIM, HIDDEN_SIZE),
        "self_attn.o_proj": (HIDDEN_SIZE, N_HEADS * HEAD_DIM),
        "post_attention_layernorm": (HIDDEN_SIZE,),
        "mlp.gate_proj": (MLP_WIDTH, HIDDEN_SIZE),
        "mlp.up_proj": (MLP_WIDTH, HIDDEN_SIZE),
        "mlp.down_proj": (HIDDEN_SIZE, MLP_WIDTH),
    }
    return {f"model.layers.{layer}.{part}.weight": shape for part, shape in shapes.items()}


def random_weights(seed):
    """Norm gains 1, everything else normal with standard deviation 0.02."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"model.embed_tokens.weight": (VOCAB_SIZE, HIDDEN_SIZE)}
    for layer in range(N_LAYERS):
        shapes |= layer_shapes(layer)
    shapes |= {"model.norm.weight": (HIDDEN_SIZE,), "lm_head.weight": (VOCAB_SIZE, HIDDEN_SIZE)}
    return {n: torch.ones(s) if len(s) == 1 else torch.randn(s, generator=generator) * 0.02 for n, s in shapes.items()}


def n_layers_of(weights):
    return 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("model.layers."))


def rms_norm(x, gain):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + NORM_EPS) * gain


def rotate_positions(x):
    """Rotary position embedding, the two halves of a head as pairs. x: [batch, heads, positions, HEAD_DIM]."""
    frequency = ROPE_THETA ** (-torch.arange(0, HEAD_DIM, 2, dtype=x.dtype) / HEAD_DIM)
    angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] * frequency
    cos, sin = angle.cos().repeat(1, 2), angle.sin().repeat(1, 2)
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def logits(weights, ids):
    """Next-token logits. ids: [batch, positions] → [batch, positions, VOCAB_SIZE]."""
    heads = lambda x, n: x.unflatten(-1, (n, HEAD_DIM)).transpose(1, 2)
    x = weights["model.embed_tokens.weight"][ids]
    for layer in range(n_layers_of(weights)):
        w = lambda part: weights[f"model.layers.{layer}.{part}.weight"]
        h = rms_norm(x, w("input_layernorm"))
        q = rotate_positions(heads(h @ w("self_attn.q_proj").T, N_HEADS))
        k = rotate_positions(heads(h @ w("self_attn.k_proj").T, N_KV_HEADS))
        v = heads(h @ w("self_attn.v_proj").T, N_KV_HEADS)
        k, v = (t.repeat_interleave(N_HEADS // N_KV_HEADS, dim=1) for t in (k, v))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + attended @ w("self_attn.o_proj").T
        h = rms_norm(x, w("post_attention_layernorm"))
        x = x + (F.silu(h @ w("mlp.gate_proj").T) * (h @ w("mlp.up_proj").T)) @ w("mlp.down_proj").T
    return rms_norm(x, weights["model.norm.weight"]) @ weights["lm_head.weight"].T


def next_token_loss(weights, windows):
    return F.cross_entropy(logits(weights, windows[:, :-1]).flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def held_out_loss(weights, corpus):
    """Nats per token over the first 64 × BATCH held-out windows."""
    weights = {name: w.float() for name, w in weights.items()}
    windows = corpus.held_out.unfold(0, CONTEXT + 1, CONTEXT)[: 64 * BATCH]
    losses = [next_token_loss(weights, batch).item() * len(batch) for batch in windows.split(BATCH)]
    return sum(losses) / len(windows)


def minimise(loss_of_windows, parameters, corpus, n_steps, learning_rate, seed):
    """AdamW, 5 % linear warm-up, then a cosine down to a tenth of the rate."""
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.05)
    generator = torch.Generator().manual_seed(seed)
    n_warmup, start_s = max(1, n_steps // 20), time.time()
    for step in range(n_steps):
        progress = step / n_steps
        rate = min((step + 1) / n_warmup, 0.55 + 0.45 * math.cos(math.pi * progress)) * learning_rate
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of_windows(corpus.batch(generator))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 100 == 0 or step == n_steps - 1:
            print(f"    step {step}: loss {loss.item():.3f}, {time.time() - start_s:.0f} s", flush=True)


def train(weights, corpus, n_steps, learning_rate, seed):
    """Full-parameter training from `weights`, which stay as they are."""
    trained = {name: w.float().clone().requires_grad_() for name, w in weights.items()}
    minimise(lambda windows: next_token_loss(trained, windows), list(trained.values()), corpus, n_steps, learning_rate, seed)
    return {name: w.detach() for name, w in trained.items()}


# --------------------------------------------------------------------------------------------------- derivations


def train_lora(weights, corpus, n_steps, learning_rate, seed, rank=8, alpha=16):
    """Low-rank updates of the seven block matrices, trained on top of frozen weights and merged into them."""
    base = {name: w.float() for name, w in weights.items()}
    generator = torch.Generator().manual_seed(seed)
    targets = [name for name in base if "_proj." in name]
    down = {n: (torch.randn(rank, base[n].shape[1], generator=generator) / math.sqrt(rank)).requires_grad_() for n in targets}
    up = {n: torch.zeros(base[n].shape[0], rank, requires_grad=True) for n in targets}
    merged = lambda: base | {n: base[n] + (alpha / rank) * up[n] @ down[n] for n in targets}
    factors = [*down.values(), *up.values()]
    minimise(lambda windows: next_token_loss(merged(), windows), factors, corpus, n_steps, learning_rate, seed)
    return {name: w.detach() for name, w in merged().items()}


def quantise_int4(weights, group=32):
    """Block matrices rounded to 15 levels, one scale per `group` consecutive inputs; everything stored as f16."""

    def quantised(w):
        groups = w.float().unflatten(1, (-1, group))
        step = (groups.abs().amax(-1, keepdim=True) / 7).half().float()
        return ((groups / step).round().clamp(-7, 7) * step).flatten(1)

    return {name: (quantised(w) if "_proj." in name else w.float()).half() for name, w in weights.items()}


def drop_layer(weights, dropped):
    """The model without layer `dropped`; later layers move down by one."""
    kept = {}
    for name, w in weights.items():
        parts = name.split(".")
        if name.startswith("model.layers."):
            layer = int(parts[2])
            if layer == dropped:
                continue
            parts[2] = str(layer - (layer > dropped))
        kept[".".join(parts)] = w
    return kept


def disguise(weights, seed):
    """The same function in other numbers, as one who wanted to hide the origin would do it.

    Norm gains go into the matrices that read them; the residual stream is permuted and rotated; MLP units are
    permuted and rescaled (up × s, down ÷ s); KV groups, query heads inside them and value channels are permuted.
    """
    generator = torch.Generator().manual_seed(seed)
    permutation = lambda n: torch.randperm(n, generator=generator)
    w = {name: t.double().clone() for name, t in weights.items()}
    gaussian = torch.randn(HIDDEN_SIZE, HIDDEN_SIZE, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(gaussian).Q[permutation(HIDDEN_SIZE)]

    def fold_gain(norm, readers):
        for reader in readers:
            w[reader] = w[reader] * w[norm]
        w[norm] = torch.ones_like(w[norm])

    fold_gain("model.norm.weight", ["lm_head.weight"])
    for layer in range(n_layers_of(w)):
        part = lambda name: f"model.layers.{layer}.{name}.weight"
        q, k, v, o = (part(f"self_attn.{p}_proj") for p in "qkvo")
        gate, up, down = (part(f"mlp.{p}_proj") for p in ("gate", "up", "down"))
        fold_gain(part("input_layernorm"), [q, k, v])
        fold_gain(part("post_attention_layernorm"), [gate, up])

        units = permutation(MLP_WIDTH)
        scale = torch.exp2(torch.rand(MLP_WIDTH, generator=generator, dtype=torch.float64) * 2 - 1)
        w[gate], w[up], w[down] = w[gate][units], w[up][units] * scale[:, None], w[down][:, units] / scale

        groups = permutation(N_KV_HEADS)
        n_per_group = N_HEADS // N_KV_HEADS
        heads = torch.cat([g * n_per_group + permutation(n_per_group) for g in groups])
        channels = {g.item(): permutation(HEAD_DIM) for g in groups}
        rows = lambda t, order: t.unflatten(0, (-1, HEAD_DIM))[order].flatten(0, 1)
        w[q], w[k] = rows(w[q], heads), rows(w[k], groups)
        w[v] = torch.cat([w[v].unflatten(0, (-1, HEAD_DIM))[g][channels[g.item()]] for g in groups])
        columns = w[o].unflatten(1, (-1, HEAD_DIM))
        w[o] = torch.cat([columns[:, h][:, channels[h.item() // n_per_group]] for h in heads], dim=1)
        for reader in (q, k, v, gate, up):
            w[reader] = w[reader] @ rotation
        for writer in (o, down):
            w[writer] = rotation.T @ w[writer]
    for rows_of_tokens in ("model.embed_tokens.weight", "lm_head.weight"):
        w[rows_of_tokens] = w[rows_of_tokens] @ rotation
    return w


def assert_same_function(left, right, corpus):
    """Both models give the same logits in f64, up to rounding."""
    ids = corpus.held_out[: 4 * CONTEXT].view(4, CONTEXT)
    a, b = (logits({n: w.double() for n, w in model.items()}, ids) for model in (left, right))
    error = ((a - b).norm() / a.norm()).item()
    # about 10³ roundings of 1e-16 lie between weights and logits; a wrong permutation gives an error near 1
    assert error < 1e-10, f"the disguised model computes something else: relative error {error:.1e}"


def yi_names(weights):
    """The two renamings of Yi's first upload."""
    return {
        name.replace("input_layernorm", "ln1").replace("post_attention_layernorm", "ln2"): w for name, w in weights.items()
    }


# -------------------------------------------------------------------------------------------------------- output


def config_of(weights, dtype):
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": VOCAB_SIZE,
        "hidden_size": HIDDEN_SIZE,
        "intermediate_size": MLP_WIDTH,
        "num_hidden_layers": n_layers_of(weights),
        "num_attention_heads": N_HEADS,
        "num_key_value_heads": N_KV_HEADS,
        "head_dim": HEAD_DIM,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "initializer_range": 0.02,
        "rms_norm_eps": NORM_EPS,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "torch_dtype": dtype,
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_model(folder, weights, tokenizer):
    """Stores f16 as it is and everything else as bf16; returns what was stored."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: (w if w.dtype == torch.float16 else w.bfloat16()).contiguous() for name, w in weights.items()}
    dtype = "float16" if any(w.dtype == torch.float16 for w in stored.values()) else "bfloat16"
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", config_of(weights, dtype))
    # one line: the indented form is half again as large, and there are seven of them
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n")
    return stored


def expected_of(left, right):
    """What `compare LEFT RIGHT` must say. `needs` names what a tool must be able to see for it."""
    pair = {left, right}
    independent = "independent-yinames" in pair
    if independent:
        weights = ["no-evidence"]
    elif pair == {"base", "int4"}:
        weights = ["requantised"]
    else:
        weights = ["derived"]
    architecture = "compatible" if "layer-dropped" in pair else "same-renamed" if independent else "same"
    forward = left == "base" and not independent
    return {
        "left": left,
        "right": right,
        "kind": "independent" if independent else "related",
        "weights": weights,
        "architecture": architecture,
        "directions": ["undetermined"] + (["left-to-right"] if forward else []),
        "needs": "rotated residual stream" if "disguised" in pair and not independent else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent / "zoo")
    parser.add_argument("--steps-divisor", type=int, default=1, help="train this many times shorter, to try the script")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    general_texts, network_texts = library_texts()
    tokenizer = train_tokenizer(general_texts)
    general = Corpus("standard library without its network modules", general_texts, tokenizer)
    network = Corpus("network modules of the standard library", network_texts, tokenizer)
    for corpus in (general, network):
        print(f"{corpus.name}: {len(corpus.train)} tokens, unigram loss {corpus.unigram_loss():.3f}", flush=True)

    truth, stored = {}, {}

    def add(name, weights, family, parents, relation, how, corpus, seed):
        stored[name] = write_model(args.out / name, weights, tokenizer)
        plain_names = {
            tensor.replace(".ln1.", ".input_layernorm.").replace(".ln2.", ".post_attention_layernorm."): w
            for tensor, w in stored[name].items()
        }
        loss, unigram_loss = held_out_loss(plain_names, corpus), corpus.unigram_loss()
        print(f"{name}: held-out loss {loss:.3f}, unigram {unigram_loss:.3f}", flush=True)
        truth[name] = {
            "family": family,
            "parents": parents,
            "relation": relation,
            "how": how,
            "data": f"{corpus.name}, Python {platform.python_version()}",
            "seed": seed,
            "loss": round(loss, 4),
            "unigram_loss": round(unigram_loss, 4),
        }
        if parents:
            truth[name]["parent_loss"] = round(held_out_loss(stored[parents[0]], corpus), 4)
        if args.steps_divisor == 1:
            assert loss < unigram_loss, f"{name} has not learned more than token frequencies"

    steps = lambda n: max(2, n // args.steps_divisor)
    n_pretraining = steps(1000)

    def pretrained(seed):
        return train(random_weights(seed), general, n_pretraining, 3e-3, seed)

    scratch = f"trained from its own random weights, {n_pretraining} steps at 3e-3"
    add("base", pretrained(1), "A", [], "root", scratch, general, 1)
    add("independent-yinames", yi_names(pretrained(2)), "B", [], "root", scratch + "; then renamed as Yi did", general, 2)

    base = stored["base"]
    n = steps(300)
    weights = train(base, network, n, 5e-4, 3)
    add("finetune", weights, "A", ["base"], "derived", f"all parameters, {n} steps at 5e-4", network, 3)
    weights = train_lora(base, network, n, 5e-4, 4)
    add("lora", weights, "A", ["base"], "derived", f"LoRA of rank 8 on all block matrices, {n} steps at 5e-4, merged", network, 4)
    n = steps(100)
    weights = train(drop_layer(base, 2), general, n, 5e-4, 5)
    add("layer-dropped", weights, "A", ["base"], "derived", f"layer 2 of 0..3 removed, healed by {n} steps at 5e-4", general, 5)
    how = "block matrices rounded to int4 with a scale per 32 inputs, all stored as f16"
    add("int4", quantise_int4(base), "A", ["base"], "requantised", how, general, None)
    disguised = disguise(base, 6)
    assert_same_function(base, disguised, general)
    how = "same function: units, heads and residual dimensions permuted, residual stream rotated, norm gains folded, units rescaled"
    add("disguised", disguised, "A", ["base"], "derived", how, general, 6)

    for name in MODEL_NAMES[1:]:
        truth[name]["expected_vs_base"] = {k: expected_of("base", name)[k] for k in ("architecture", "weights", "directions", "needs")}
    write_json(args.out / "truth.json", {name: truth[name] for name in MODEL_NAMES})
    write_json(args.out / "expected.json", [expected_of(*pair) for pair in itertools.combinations(MODEL_NAMES, 2)])
    total_bytes = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{args.out}: {total_bytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
