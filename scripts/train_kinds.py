#!/usr/bin/env python3
"""Train small networks of kinds that are no language models, with copies, disguises and traps: controls for graphs that are not known.

usage: python scripts/train_kinds.py OUT [--kinds NAME,NAME] [--steps 300]
needs: pip install torch numpy                                    (CPU builds do; nothing else, no network)

Of each kind three independent networks (other seeds, same data), and of the first one: two networks trained from the same start, one on
other batches of the same data and one on other data, two fine-tunes on other data each, f16 and int8 copies, and, where the kind says which axes hold which units, the same function with
units in another order, that one trained on, and a copy that keeps three quarters of the units and was trained on. A disguise that
should keep the function is checked to do so. Traps are networks in which something ties a unit to its number in every model: an
identity to start from, masks, filter banks, tables of one-hot rows, outputs of one width with a meaning.

Writes OUT/KIND-N[-WHAT].pt and a line per model to OUT/manifest.jsonl for `cognate evaluate`:
    {"model", "family", "parents", "origin", "relation", "hard", "loss", "first_loss"}
Models that are there already are kept, so that an interrupted run goes on where it stopped. All seeds are fixed.
"""

import argparse
import json
import math
import zlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

N_CLASSES, SIDE, VOCABULARY, SENSORS = 10, 16, 160, 64
FAMILIES = 3

# ---------------------------------------------------------------- data: seeded by `task`, so that a fine-tune sees another one


def generator(*labels):
    return torch.Generator().manual_seed(sum(label * 1009**place for place, label in enumerate(labels, 1)))


def images(count, batches, task):
    """Gratings with a blob, by class: [count, 3, SIDE, SIDE] and the classes."""
    rules = generator(task, 11)
    frequency = torch.rand(N_CLASSES, 2, 3, generator=rules) * 3
    centre = torch.rand(N_CLASSES, 2, generator=rules) * SIDE
    classes = torch.randint(N_CLASSES, (count,), generator=batches)
    rows, cols = torch.meshgrid(torch.arange(SIDE).float(), torch.arange(SIDE).float(), indexing="ij")
    phase = torch.rand(count, 1, 1, 1, generator=batches) * 1.5
    fx, fy = (frequency[classes, axis][:, :, None, None] for axis in (0, 1))
    picture = torch.sin(2 * math.pi / SIDE * (fx * cols + fy * rows) + phase)
    at = centre[classes] + torch.randn(count, 2, generator=batches)
    distance = (rows - at[:, 0, None, None]) ** 2 + (cols - at[:, 1, None, None]) ** 2
    picture = picture + 2 * torch.exp(-distance / 6)[:, None]
    return picture + 0.5 * torch.randn(picture.shape, generator=batches), classes


def vectors(count, batches, task):
    """SENSORS numbers that ten hidden factors explain."""
    rules = generator(task, 12)
    outer, inner = torch.randn(10, SENSORS, generator=rules), torch.randn(10, 10, generator=rules)
    factors = torch.tanh(torch.randn(count, 10, generator=batches) @ inner / 2)
    return factors @ outer / 2 + 0.1 * torch.randn(count, SENSORS, generator=batches)


def tokens(count, batches, task, length=24):
    """A chain in which each token has four successors, by the parity of the one before."""
    successors = torch.randint(VOCABULARY, (VOCABULARY, 2, 4), generator=generator(task, 13))
    chance = torch.tensor([0.6, 0.25, 0.1, 0.05])
    text = torch.randint(VOCABULARY, (count, length), generator=batches)
    for place in range(2, length):
        choice = torch.multinomial(chance, count, True, generator=batches)
        text[:, place] = successors[text[:, place - 1], text[:, place - 2] % 2, choice]
    return text


def classified(net, batches, task):
    pictures, classes = images(48, batches, task)
    return F.cross_entropy(net(pictures), classes)


def denoised(net, batches, task):
    pictures, _ = images(16, batches, task)
    return F.mse_loss(net(pictures + torch.randn(pictures.shape, generator=batches)), pictures) / pictures.var()


def rebuilt(net, batches, task):
    data = vectors(128, batches, task)
    return F.mse_loss(net(data), data) / data.var()


def continued(net, batches, task):
    text = tokens(24, batches, task)
    return F.cross_entropy(net(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())


def forecast(net, batches, task):
    """The next 64 steps of three sines from the last 64."""
    steps = torch.arange(2.0 * SENSORS)
    periods = torch.rand(3, generator=generator(task, 14)) * 25 + 6
    phase = torch.rand(128, 3, 1, generator=batches) * 2 * math.pi
    series = torch.sin(2 * math.pi * steps / periods[:, None] + phase).sum(1)
    series = series + 0.3 * torch.randn(series.shape, generator=batches)
    return F.mse_loss(net(series[:, :SENSORS]), series[:, SENSORS:]) / series.var()


# ---------------------------------------------------------------- networks; `units` names the axes of each group of exchangeable units


def norm_axes(name):
    return [(f"{name}.{part}", 0) for part in ("weight", "bias", "running_mean", "running_var")]


class Plain(nn.Module):
    """Convolutions, batch norm, ReLU."""

    WIDTHS = (3, 24, 32, 48, 48)

    def __init__(self):
        super().__init__()
        pairs = list(zip(self.WIDTHS, self.WIDTHS[1:]))
        self.conv = nn.ModuleList(nn.Conv2d(a, b, 3, 1 + (n == 2), 1, bias=False) for n, (a, b) in enumerate(pairs))
        self.norm = nn.ModuleList(nn.BatchNorm2d(width) for width in self.WIDTHS[1:])
        self.head = nn.Linear(self.WIDTHS[-1], N_CLASSES)

    def forward(self, x):
        for conv, norm in zip(self.conv, self.norm):
            x = F.relu(norm(conv(x)))
        return self.head(x.mean((2, 3)))

    def units(self):
        last = len(self.WIDTHS) - 2
        readers = [f"conv.{n + 1}.weight" if n < last else "head.weight" for n in range(last + 1)]
        return [[(f"conv.{n}.weight", 0), *norm_axes(f"norm.{n}"), (reader, 1)] for n, reader in enumerate(readers)]


class Residual(nn.Module):
    """Two stages of residual blocks."""

    def __init__(self):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 24, 3, 1, 1, bias=False), nn.BatchNorm2d(24)
        self.first = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1, bias=False) for a, b in ((24, 32), (24, 32), (40, 48), (40, 48)))
        self.first_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in (32, 32, 48, 48))
        self.second = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1, bias=False) for a, b in ((32, 24), (32, 24), (48, 40), (48, 40)))
        self.second_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in (24, 24, 40, 40))
        self.widen, self.widen_norm = nn.Conv2d(24, 40, 1, 2, bias=False), nn.BatchNorm2d(40)
        self.head = nn.Linear(40, N_CLASSES)

    def forward(self, x):
        x = F.relu(self.stem_norm(self.stem(x)))
        for n in range(4):
            if n == 2:
                x = F.relu(self.widen_norm(self.widen(x)))
            inner = F.relu(self.first_norm[n](self.first[n](x)))
            x = F.relu(x + self.second_norm[n](self.second[n](inner)))
        return self.head(x.mean((2, 3)))

    def units(self):
        def stream(blocks):
            axes = []
            for n in blocks:
                axes += [(f"first.{n}.weight", 1), (f"second.{n}.weight", 0), *norm_axes(f"second_norm.{n}")]
            return axes

        inner = [[(f"first.{n}.weight", 0), *norm_axes(f"first_norm.{n}"), (f"second.{n}.weight", 1)] for n in range(4)]
        narrow = [("stem.weight", 0), *norm_axes("stem_norm"), *stream((0, 1)), ("widen.weight", 1)]
        wide = [("widen.weight", 0), *norm_axes("widen_norm"), *stream((2, 3)), ("head.weight", 1)]
        return [*inner, narrow, wide]


class Depthwise(nn.Module):
    """Inverted bottlenecks with depthwise filters."""

    STREAMS = (16, 16, 24, 24)

    def __init__(self):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        pairs = list(zip(self.STREAMS, self.STREAMS[1:]))
        self.expand = nn.ModuleList(nn.Conv2d(a, 4 * a, 1, bias=False) for a, _ in pairs)
        self.expand_norm = nn.ModuleList(nn.BatchNorm2d(4 * a) for a, _ in pairs)
        self.depth = nn.ModuleList(nn.Conv2d(4 * a, 4 * a, 3, 1 + (n == 1), 1, groups=4 * a, bias=False) for n, (a, _) in enumerate(pairs))
        self.depth_norm = nn.ModuleList(nn.BatchNorm2d(4 * a) for a, _ in pairs)
        self.project = nn.ModuleList(nn.Conv2d(4 * a, b, 1, bias=False) for a, b in pairs)
        self.project_norm = nn.ModuleList(nn.BatchNorm2d(b) for _, b in pairs)
        self.head = nn.Linear(24, N_CLASSES)

    def forward(self, x):
        x = F.relu6(self.stem_norm(self.stem(x)))
        for n in range(3):
            inner = F.relu6(self.expand_norm[n](self.expand[n](x)))
            inner = F.relu6(self.depth_norm[n](self.depth[n](inner)))
            out = self.project_norm[n](self.project[n](inner))
            x = x + out if out.shape == x.shape else out
        return self.head(x.mean((2, 3)))

    def units(self):
        inner = [[(f"expand.{n}.weight", 0), *norm_axes(f"expand_norm.{n}"), (f"depth.{n}.weight", 0), *norm_axes(f"depth_norm.{n}"),
                  (f"project.{n}.weight", 1)] for n in range(3)]

        def made(n):
            return [(f"project.{n}.weight", 0), *norm_axes(f"project_norm.{n}")]

        narrow = [("stem.weight", 0), *norm_axes("stem_norm"), ("expand.0.weight", 1), *made(0), ("expand.1.weight", 1)]
        wide = [*made(1), ("expand.2.weight", 1), *made(2), ("head.weight", 1)]
        return [*inner, narrow, wide]


class Hourglass(nn.Module):
    """A small U-Net with group norm, whose channels cannot change places freely."""

    def __init__(self):
        super().__init__()

        def block(a, b):
            return nn.Sequential(nn.Conv2d(a, b, 3, 1, 1), nn.GroupNorm(4, b), nn.SiLU(), nn.Conv2d(b, b, 3, 1, 1), nn.SiLU())

        self.down, self.middle = block(3, 24), block(24, 48)
        self.up, self.join, self.out = nn.ConvTranspose2d(48, 24, 2, 2), block(48, 24), nn.Conv2d(24, 3, 1)

    def forward(self, x):
        kept = self.down(x)
        return self.out(self.join(torch.cat([self.up(self.middle(F.max_pool2d(kept, 2))), kept], 1)))


class Layers(nn.Module):
    """Linear layers of the given widths with ReLU between them."""

    def __init__(self, *widths, start=None):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        if start is not None:
            for layer in self.layers:
                start(layer)

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)

    def units(self):
        last = len(self.layers) - 1
        return [[(f"layers.{n}.weight", 0), (f"layers.{n}.bias", 0), (f"layers.{n + 1}.weight", 1)] for n in range(last)]


class Classifier(Layers):
    """The same over pictures of one colour."""

    def forward(self, x):
        return super().forward(x.mean(1).flatten(1))


class Recurrent(nn.Module):
    """A recurrent language model."""

    def __init__(self, cell):
        super().__init__()
        self.embed, self.rnn, self.out = nn.Embedding(VOCABULARY, 48), cell(48, 80, 2, batch_first=True), nn.Linear(80, VOCABULARY)

    def forward(self, x):
        return self.out(self.rnn(self.embed(x))[0])


class Window(nn.Module):
    """Two tokens, by rows of a table that never learns, make the next."""

    def __init__(self, table):
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(table, freeze=True)
        self.layers = Layers(2 * table.shape[1], 128, 128, VOCABULARY)

    def forward(self, x):
        rows = self.embed(x)
        return self.layers(torch.cat([F.pad(rows, (0, 0, 1, 0))[:, :-1], rows], 2))


class Masked(nn.Module):
    """Masked layers in which output i may read inputs before i (MADE, arXiv 1502.03509)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(SENSORS, SENSORS) for _ in range(3))
        order = torch.arange(SENSORS)
        self.masks = [(order[:, None] >= order[None]).float()] * 2 + [(order[:, None] > order[None]).float()]

    def forward(self, x):
        for n, (layer, mask) in enumerate(zip(self.layers, self.masks)):
            layer.weight.data.mul_(mask)
            x = layer(x)
            x = F.relu(x) if n < 2 else x
        return x


class FilterBank(nn.Module):
    """Fixed cosine filters before layers that learn."""

    def __init__(self):
        super().__init__()
        place = torch.arange(SENSORS).float()
        self.register_buffer("bank", torch.cos(math.pi / SENSORS * (place[None] + 0.5) * place[:, None]))
        self.layers = Layers(SENSORS, 96, 64, SENSORS)

    def forward(self, x):
        return self.layers(x @ self.bank.T / 8)


class Decomposed(nn.Module):
    """Trend and season, each a matrix from the last steps to the next: outputs are steps in every model."""

    def __init__(self):
        super().__init__()
        self.season, self.trend = nn.Linear(SENSORS, SENSORS), nn.Linear(SENSORS, SENSORS)

    def forward(self, x):
        trend = F.avg_pool1d(F.pad(x[:, None], (12, 12), mode="replicate"), 25, 1)[:, 0]
        return self.season(x - trend) + self.trend(trend)


def identity_start(layer):
    if layer.weight.shape[0] == layer.weight.shape[1]:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)


KINDS = {
    "plain-conv": (Plain, classified, 3e-3),
    "residual-conv": (Residual, classified, 3e-3),
    "depthwise-conv": (Depthwise, classified, 4e-3),
    "hourglass": (Hourglass, denoised, 3e-3),
    "autoencoder": (lambda: Layers(SENSORS, 96, 72, 24, 72, 96, SENSORS), rebuilt, 2e-3),
    "classifier": (lambda: Classifier(SIDE * SIDE, 128, 96, 64, N_CLASSES), classified, 2e-3),
    "lstm": (lambda: Recurrent(nn.LSTM), continued, 8e-3),
    "gru": (lambda: Recurrent(nn.GRU), continued, 8e-3),
    "rnn": (lambda: Recurrent(nn.RNN), continued, 4e-3),
    # traps
    "identity-start": (lambda: Layers(SENSORS, 80, 80, 80, 80, SENSORS, start=identity_start), rebuilt, 2e-3),
    "one-hot-table": (lambda: Window(torch.eye(VOCABULARY)), continued, 5e-3),
    "shared-table": (lambda: Window(torch.randn(VOCABULARY, 48, generator=generator(5))), continued, 5e-3),
    "masked": (Masked, rebuilt, 2e-3),
    "filter-bank": (FilterBank, rebuilt, 2e-3),
    "one-width": (lambda: Layers(*[SENSORS] * 5), rebuilt, 2e-3),
    "forecaster": (Decomposed, forecast, 3e-3),
}

# ---------------------------------------------------------------- training and what is made of a model


def train(net, loss_of, rate, steps, batches, task):
    """First and last loss."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    net.train()
    losses = []
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 20) * (1 - 0.9 * step / steps)
        loss = loss_of(net, batches, task)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        losses.append(loss.item())
    tail = losses[-max(1, steps // 20):]
    return losses[0], sum(tail) / len(tail)


def taken(state, groups, share):
    """The units of each group in another order; of these the first `share`."""
    out = dict(state)
    for label, group in enumerate(groups):
        n_units = out[group[0][0]].shape[group[0][1]]
        order = torch.randperm(n_units, generator=generator(label, 7))[: round(share * n_units)]
        for name, axis in group:
            out[name] = out[name].index_select(axis, order)
    return out


def loaded(build, state):
    """A network of the widths of a state dict; narrower ones are made by cutting the parameters."""
    net = build()
    for name, value in state.items():
        *path, leaf = name.split(".")
        module = net.get_submodule(".".join(path))
        if leaf in module._parameters:
            module._parameters[leaf] = nn.Parameter(value.clone(), requires_grad=module._parameters[leaf].requires_grad)
        else:
            module._buffers[leaf] = value.clone()
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.groups = value.shape[0]
        if isinstance(module, nn.BatchNorm2d) and leaf == "weight":
            module.num_features = len(value)
    return net


def answers_of(net, loss_of):
    net.eval()
    with torch.no_grad():
        return loss_of(net, generator(99), 0).item()


def on_a_grid(state):
    """Rows of matrices on 255 levels of their own."""
    out = {}
    for name, value in state.items():
        if value.is_floating_point() and value.ndim > 1:
            rows = value.flatten(1)
            step = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
            value = (torch.round(rows / step) * step).view_as(value)
        out[name] = value
    return out


class Corpus:
    """A folder of models and the lines of its manifest."""

    def __init__(self, out):
        self.out, self.lines = out, []

    def add(self, name, make, **facts):
        """Makes a model unless it is there; returns its state dict."""
        path, facts_path = self.out / f"{name}.pt", self.out / f"{name}.json"
        if not facts_path.exists():
            state, losses = make()
            torch.save(state, path)
            first, last = losses or (None, None)
            facts_path.write_text(json.dumps({"first_loss": first, "loss": last}))
            print(name, *(f"{loss:.3f}" for loss in losses or ()), flush=True)
        self.lines.append({"model": path.name, **facts, **json.loads(facts_path.read_text())})
        return torch.load(path, weights_only=True)


def add_kind(corpus, kind, steps):
    build, loss_of, rate = KINDS[kind]

    def trained(start, batches, state=None, task=0, share=1.0):
        def make():
            # of its own for each kind: equal seeds give the first tensors of two kinds equal numbers, a common origin indeed
            torch.manual_seed(zlib.crc32(kind.encode()) + start)
            net = build() if state is None else loaded(build, state)
            n_steps = max(1, round(share * steps))
            losses = train(net, loss_of, rate if state is None else rate / 3, n_steps, generator(batches), task)
            return net.state_dict(), losses

        return make

    root, family = f"{kind}-1", {"family": f"{kind}-1"}
    origin = {"origin": f"{kind}-1 start"}
    state = corpus.add(root, trained(1, 21), **family, **origin, relation="root")
    for number in range(2, FAMILIES + 1):
        corpus.add(f"{kind}-{number}", trained(number, 20 + number), family=f"{kind}-{number}", relation="root")
    corpus.add(f"{root}-same-start", trained(1, 31), **family, **origin, relation="same-start", hard=True)
    corpus.add(f"{root}-same-start-other-data", trained(1, 32, task=2), **family, **origin, relation="same-start", hard=True)
    child = {**family, "parents": [f"{root}.pt"]}
    corpus.add(f"{root}-fine-tune", trained(1, 41, state, 1, 0.3), **child, relation="fine-tune")
    corpus.add(f"{root}-fine-tune-2", trained(1, 44, state, 2, 0.3), **child, relation="fine-tune")
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    corpus.add(f"{root}-f16", lambda: (half, None), **child, relation="cast")
    corpus.add(f"{root}-int8", lambda: (on_a_grid(state), None), **child, relation="quantised-copy")
    net = build()
    if not hasattr(net, "units"):
        return
    moved = taken(state, net.units(), 1.0)
    before, after = answers_of(loaded(build, state), loss_of), answers_of(loaded(build, moved), loss_of)
    if abs(before - after) > 1e-4 * abs(before):
        raise SystemExit(f"{kind}: units in another order are another function: {before} and {after}")
    corpus.add(f"{root}-moved", lambda: (moved, None), **child, relation="units-permuted", hard=True)
    corpus.add(f"{root}-moved-trained", trained(1, 42, moved, 1, 0.3), **child, relation="units-permuted", hard=True)
    kept = taken(state, net.units(), 0.75)
    corpus.add(f"{root}-cut-trained", trained(1, 43, kept, 0, 0.3), **child, relation="width-pruned", hard=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    corpus = Corpus(arguments.out)
    for kind in arguments.kinds.split(","):
        add_kind(corpus, kind, arguments.steps)
    lines = "".join(json.dumps(line) + "\n" for line in corpus.lines)
    (arguments.out / "manifest.jsonl").write_text(lines)


if __name__ == "__main__":
    main()
