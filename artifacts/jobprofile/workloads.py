#!/usr/bin/env python3
"""Run deep-learning jobs one after the other on one GPU, for a labelled recording.

    reprise record gpu -o telemetry.csv.gz -- python3 workloads.py

Eleven families of models, each in training and in inference, in configurations
that differ in variant, batch size, precision and loading of data; also an idle
GPU, and training that stalls at a known period. Weights and data are random, so
nothing is downloaded. What runs is written as marks to the file that
REPRISE_MARKS names, and one JSON line a run, with the true period of an
iteration, to --runs.

Needs python3 with torch, torchvision, transformers, timm and torch_geometric; a
family whose package is missing is reported and left out. Jobs run in a child
process; one that hangs or takes the process with it costs only itself.
"""

import argparse
import gc
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

T0 = time.time()

# family: (training, inference), each a list of (variant, batch, precision, load).
# load: pool = batches ready in pinned memory; host = made by the CPU when they
# are wanted; paced = requests arrive at random, 40 % of the time busy.
FAMILIES = {
    "resnet": (
        [("resnet18", 256, "fp32", "pool"), ("resnet50", 128, "bf16", "pool"), ("resnet34", 64, "tf32", "host"), ("resnet101", 64, "fp16", "pool")],
        [("resnet50", 32, "tf32", "pool"), ("resnet18", 1, "fp32", "pool"), ("resnet101", 128, "bf16", "pool"), ("resnet34", 8, "fp16", "paced")]),
    "vgg": (
        [("vgg16", 64, "tf32", "pool"), ("vgg11", 128, "fp32", "host"), ("vgg19", 32, "bf16", "pool"), ("vgg16_bn", 96, "fp16", "pool")],
        [("vgg11", 8, "fp32", "pool"), ("vgg16", 64, "bf16", "pool"), ("vgg19", 1, "tf32", "paced"), ("vgg16_bn", 128, "fp16", "pool")]),
    "inception": (
        [("inception_v3", 64, "bf16", "pool"), ("googlenet", 128, "tf32", "pool"), ("inception_v3", 128, "fp32", "pool"), ("googlenet", 64, "fp16", "host")],
        [("googlenet", 64, "fp32", "pool"), ("inception_v3", 16, "tf32", "pool"), ("googlenet", 1, "bf16", "pool"), ("inception_v3", 64, "fp16", "paced")]),
    "unet": (
        [("unet32", 16, "fp32", "pool"), ("unet64", 8, "bf16", "pool"), ("unet48", 32, "tf32", "pool"), ("unet32", 64, "fp16", "host")],
        [("unet64", 16, "tf32", "pool"), ("unet32", 1, "fp32", "pool"), ("unet48", 8, "bf16", "paced"), ("unet64", 32, "fp16", "pool")]),
    "bert": (
        [("bert-base", 32, "bf16", "pool"), ("bert-large", 16, "tf32", "pool"), ("bert-base", 16, "fp32", "host"), ("bert-large", 32, "fp16", "pool")],
        [("bert-base", 8, "tf32", "pool"), ("bert-large", 32, "bf16", "pool"), ("bert-base", 64, "fp16", "pool"), ("bert-large", 1, "fp32", "paced")]),
    "distilbert": (
        [("distilbert", 64, "tf32", "pool"), ("distilbert", 32, "fp16", "host"), ("distilbert-small", 128, "bf16", "pool"), ("distilbert", 16, "fp32", "pool")],
        [("distilbert", 32, "bf16", "pool"), ("distilbert-small", 1, "fp32", "pool"), ("distilbert", 128, "tf32", "pool"), ("distilbert", 4, "fp16", "paced")]),
    "vit": (
        [("vit_small_patch16_224", 128, "bf16", "pool"), ("vit_base_patch16_224", 64, "tf32", "pool"), ("vit_base_patch32_224", 256, "fp16", "host"), ("vit_small_patch16_224", 64, "fp32", "pool")],
        [("vit_base_patch16_224", 16, "fp16", "pool"), ("vit_small_patch16_224", 64, "tf32", "pool"), ("vit_base_patch32_224", 1, "bf16", "pool"), ("vit_base_patch16_224", 64, "fp32", "paced")]),
    "gpt": (
        [("gpt2", 8, "tf32", "pool"), ("gpt2-medium", 4, "bf16", "pool"), ("gpt2-mini", 32, "fp16", "pool"), ("gpt2", 16, "fp32", "host")],
        [("gpt2", 1, "bf16", "pool"), ("gpt2-medium", 8, "tf32", "pool"), ("gpt2-mini", 32, "fp32", "pool"), ("gpt2", 4, "fp16", "paced")]),
    "dlrm": (
        [("dlrm-16", 2048, "fp32", "pool"), ("dlrm-64", 8192, "tf32", "pool"), ("dlrm-128", 4096, "bf16", "pool"), ("dlrm-64", 1024, "fp32", "host")],
        [("dlrm-64", 512, "fp32", "pool"), ("dlrm-16", 4096, "tf32", "pool"), ("dlrm-128", 16384, "bf16", "pool"), ("dlrm-64", 128, "fp16", "paced")]),
    "lstm": (
        [("lstm-650", 64, "fp32", "pool"), ("lstm-1500", 32, "tf32", "pool"), ("lstm-1024", 128, "fp16", "pool"), ("lstm-650", 256, "tf32", "host")],
        [("lstm-1024", 32, "tf32", "pool"), ("lstm-650", 1, "fp32", "pool"), ("lstm-1500", 64, "fp16", "pool"), ("lstm-650", 16, "fp32", "paced")]),
    "gnn": (
        [("gcn-128", 100, "fp32", "pool"), ("sage-256", 50, "tf32", "pool"), ("gin-64", 200, "fp32", "pool"), ("gat-64", 50, "bf16", "host")],
        [("sage-128", 100, "tf32", "pool"), ("gcn-256", 50, "fp32", "pool"), ("gat-64", 100, "fp32", "paced"), ("gin-128", 200, "bf16", "pool")]),
}
STALLS = [("resnet", 0.5), ("bert", 0.8), ("unet", 1.0), ("gpt", 1.4), ("vgg", 2.0)]


def schedule():
    """All runs in order: whatever the budget cuts off, the families stay balanced."""
    pairs = [(f, m) for f in FAMILIES for m in (0, 1)]
    rng = random.Random(20)
    runs = [dict(family="idle", variant="bare", mode="idle", config="idle-bare")]

    def add(family, mode, k, seed):
        variant, batch, precision, load = FAMILIES[family][mode][k]
        name = ("train", "infer")[mode]
        runs.append(dict(family=family, variant=variant, mode=name, batch=batch, precision=precision, load=load,
                         config=f"{family}-{name}-{k}", seed=seed))

    for k in range(4):
        rng.shuffle(pairs)
        for family, mode in pairs:
            add(family, mode, k, 0)
        variant = ("context", "resident")[k % 2]
        runs.append(dict(family="idle", variant=variant, mode="idle", config=f"idle-{variant}", seed=k // 2))
        if k == 2:
            for family, period in STALLS:
                runs.append(dict(family=family, variant=FAMILIES[family][0][0][0], mode="train", batch=FAMILIES[family][0][0][1],
                                 precision="bf16", load="stall", period=period, config=f"{family}-stall"))
    for k in range(4):
        rng.shuffle(pairs)
        for family, mode in pairs:
            add(family, mode, k, 1)
    for r in runs:
        r.setdefault("seed", 0)
        r["run"] = f"{r['config']}-s{r['seed']}"
    return runs


def mark(labels=None, phase=None):
    path = os.environ.get("REPRISE_MARKS")
    if not path:
        return
    parts = [f"{time.time():.3f}"]
    if labels:
        parts += [f"{k}={v}" for k, v in labels.items()] + [f"phase={phase}"]
    with open(path, "a") as f:
        f.write(" ".join(parts) + "\n")


def note(path, row):
    if path:
        with open(path, "a") as f:
            f.write(json.dumps(row) + "\n")


def say(*words):
    print(f"[{time.time() - T0:7.1f}]", *words, flush=True)


# ---------------------------------------------------------------- models

def vision(torch, family, variant, train):
    if family == "vit":
        import timm
        return timm.create_model(variant, num_classes=1000), 224, 1000
    import torchvision
    more = dict(aux_logits=False, init_weights=False) if family == "inception" else {}
    size = 299 if variant == "inception_v3" else 224
    return getattr(torchvision.models, variant)(weights=None, **more), size, 1000


def unet(torch, base):
    nn = torch.nn

    def double(i, o):
        return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(True),
                             nn.Conv2d(o, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(True))

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            widths = [base * 2 ** i for i in range(5)]
            self.down = nn.ModuleList(double(i, o) for i, o in zip([3] + widths[:-1], widths))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
            self.merge = nn.ModuleList(double(2 * w, w) for w in reversed(widths[:-1]))
            self.out = nn.Conv2d(base, 2, 1)

        def forward(self, x):
            skips = []
            for i, d in enumerate(self.down):
                x = d(x if i == 0 else nn.functional.max_pool2d(x, 2))
                skips.append(x)
            skips.pop()
            for u, m in zip(self.up, self.merge):
                x = m(torch.cat([u(x), skips.pop()], 1))
            return self.out(x)

    return UNet()


def dlrm(torch, dim, rows, train):
    nn = torch.nn

    class DLRM(nn.Module):
        def __init__(self):
            super().__init__()
            self.tables = nn.ModuleList(nn.EmbeddingBag(rows, dim, mode="sum", sparse=train) for _ in range(26))
            self.bottom = nn.Sequential(nn.Linear(13, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, dim), nn.ReLU())
            self.top = nn.Sequential(nn.Linear(dim + 27 * 26 // 2, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 1))
            self.register_buffer("pairs", torch.tril_indices(27, 27, -1))

        def forward(self, dense, sparse):
            x = self.bottom(dense)
            z = torch.stack([x] + [t(sparse[:, i:i + 1]).to(x.dtype) for i, t in enumerate(self.tables)], 1)
            dots = torch.bmm(z, z.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
            return self.top(torch.cat([x, dots], 1)).squeeze(1)

    return DLRM()


def build(torch, r, dev, tiny):
    """The model, a maker of one batch on a device, and what one step computes."""
    nn, F = torch.nn, torch.nn.functional
    family, variant, batch, train = r["family"], r["variant"], r["batch"], r["mode"] == "train"
    if tiny:
        batch = min(batch, 2)

    def images(size, classes):
        return lambda d: (torch.randn(batch, 3, size, size, device=d), torch.randint(classes, (batch,), device=d))

    def tokens(vocab, length, classes=None):
        return lambda d: (torch.randint(vocab, (batch, length), device=d),) + (() if classes is None else (torch.randint(classes, (batch,), device=d),))

    if family in ("resnet", "vgg", "inception", "vit"):
        model, size, classes = vision(torch, family, variant, train)
        return model, images(size, classes), lambda m, x, y: F.cross_entropy(m(x).float(), y) if train else m(x)
    if family == "unet":
        size = 64 if tiny else 256
        make = lambda d: (torch.randn(batch, 3, size, size, device=d), torch.randint(2, (batch, size, size), device=d))
        return unet(torch, 4 if tiny else int(variant[4:])), make, lambda m, x, y: F.cross_entropy(m(x).float(), y) if train else m(x)
    if family in ("bert", "distilbert", "gpt"):
        import transformers as tf
        if family == "bert":
            h, n = (1024, 24) if variant == "bert-large" else (768, 12)
            model = tf.BertForSequenceClassification(tf.BertConfig(hidden_size=h, num_hidden_layers=n, num_attention_heads=h // 64, intermediate_size=4 * h))
        elif family == "distilbert":
            h, n = (512, 4) if variant == "distilbert-small" else (768, 6)
            model = tf.DistilBertForSequenceClassification(tf.DistilBertConfig(dim=h, n_layers=n, n_heads=h // 64, hidden_dim=4 * h))
        else:
            h, n = {"gpt2": (768, 12), "gpt2-medium": (1024, 24), "gpt2-mini": (512, 6)}[variant]
            model = tf.GPT2LMHeadModel(tf.GPT2Config(n_embd=h, n_layer=n, n_head=h // 64))
            if train:
                return model, tokens(50257, 512), lambda m, x: m(input_ids=x, labels=x).loss

            def decode(m, x):  # a prompt, then 24 tokens one by one
                out = m(input_ids=x, use_cache=True)
                for _ in range(24):
                    x = out.logits[:, -1:].argmax(-1)
                    out = m(input_ids=x, past_key_values=out.past_key_values, use_cache=True)
                return out.logits

            return model, tokens(50257, 128), decode
        return model, tokens(30000, 128, 2), lambda m, x, y: m(input_ids=x, labels=y).loss if train else m(input_ids=x).logits
    if family == "dlrm":
        dim = int(variant.split("-")[1])
        rows = 1000 if tiny else {16: 1_000_000, 64: 1_000_000, 128: 400_000}[dim]
        make = lambda d: (torch.randn(batch, 13, device=d), torch.randint(rows, (batch, 26), device=d), torch.rand(batch, device=d))
        return dlrm(torch, dim, rows, train), make, \
            lambda m, x, s, y: F.binary_cross_entropy_with_logits(m(x, s).float(), y) if train else m(x, s)
    if family == "lstm":
        h = 8 if tiny else int(variant.split("-")[1])

        class LM(nn.Module):
            def __init__(self):
                super().__init__()
                self.emb, self.lstm, self.out = nn.Embedding(10000, h), nn.LSTM(h, h, 2, batch_first=True), nn.Linear(h, 10000)

            def forward(self, x):
                return self.out(self.lstm(self.emb(x))[0])

        return LM(), tokens(10000, 70), \
            lambda m, x: F.cross_entropy(m(x)[:, :-1].reshape(-1, 10000).float(), x[:, 1:].reshape(-1)) if train else m(x)
    if family == "gnn":
        from torch_geometric.nn import models
        kind, h = variant.split("-")
        nodes = 100 if tiny else 1000 * batch
        model = {"gcn": models.GCN, "sage": models.GraphSAGE, "gin": models.GIN, "gat": models.GAT}[kind](128, int(h), 3, 40)
        make = lambda d: (torch.randn(nodes, 128, device=d), torch.randint(nodes, (2, 10 * nodes), device=d), torch.randint(40, (nodes,), device=d))
        return model, make, lambda m, x, e, y: F.cross_entropy(m(x, e).float(), y) if train else m(x, e)
    raise ValueError(family)


# ---------------------------------------------------------------- one run

def run_one(torch, r, seconds, dev, tiny):
    labels = {k: v for k, v in r.items()}
    mark(labels, "setup")
    cuda = dev == "cuda"
    sync = torch.cuda.synchronize if cuda else lambda: None
    torch.manual_seed(1000 + r["seed"])
    if r["family"] == "idle":
        held = None
        if cuda:
            torch.zeros(1, device=dev)
            if r["variant"] == "resident":
                held = torch.randn(256 + 512 * r["seed"], 1 << 20, device=dev)
                sync()
        mark(labels, "run")
        time.sleep(seconds)
        mark()
        del held
        return dict(iterations=0)

    tf32 = r["precision"] == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    train = r["mode"] == "train"
    place = getattr(torch, "set_default_device", lambda _: None)
    place(dev)  # weights are drawn where they are wanted
    try:
        model, make, step = build(torch, r, dev, tiny)
    finally:
        place(None)
    model = model.to(dev)
    model.train(train)
    if train:
        params = list(model.parameters())
        if r["family"] in ("bert", "distilbert", "gpt", "vit"):
            opt = torch.optim.AdamW(params, 1e-4)
        elif r["family"] in ("lstm", "gnn"):
            opt = torch.optim.Adam(params, 1e-3)
        else:
            opt = torch.optim.SGD(params, 1e-3, momentum=0 if r["family"] == "dlrm" else 0.9)
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(r["precision"])
    scaler = None
    if train and half is torch.float16 and cuda:
        scaler = torch.amp.GradScaler("cuda")

    def pinned():
        made = make(dev)
        return tuple(t.cpu().pin_memory() if cuda else t for t in made)

    pool = [pinned() for _ in range(2)]

    def once(i):
        data = make("cpu") if r["load"] == "host" else pool[i % len(pool)]
        data = [t.to(dev, non_blocking=True) for t in data]
        context = torch.autocast("cuda", dtype=half) if half is not None and cuda else torch.autocast("cpu", enabled=False)
        if not train:
            with torch.inference_mode(), context:
                out = step(model, *data)
            sync()
            return float(out.float().flatten()[0]) if tiny else 0.0
        opt.zero_grad(set_to_none=True)
        with context:
            loss = step(model, *data)
        if scaler:
            scaler.scale(loss).backward()
            scaler.step(opt)
            scaler.update()
        else:
            loss.backward()
            opt.step()
        return loss.item()

    for i in range(3):
        start = time.perf_counter()
        once(i)
        sync()
        took = time.perf_counter() - start

    rng = random.Random(r["seed"])
    mark(labels, "run")
    begin = time.perf_counter()
    n, starts = 0, []
    while True:
        now = time.perf_counter()
        if now - begin >= seconds:
            break
        starts.append(now)
        if r["load"] == "stall":  # half the period at work, then nothing until it is over
            while time.perf_counter() - now < r["period"] / 2:
                once(n)
                n += 1
            time.sleep(max(0.0, now + r["period"] - time.perf_counter()))
        else:
            once(n)
            n += 1
            if r["load"] == "paced":
                time.sleep(min(1.0, rng.expovariate(1.0 / (1.5 * max(took, 1e-3)))))
    sync()
    length = time.perf_counter() - begin
    mark()
    peak = torch.cuda.max_memory_reserved() >> 20 if cuda else 0
    return dict(iterations=n, seconds=round(length, 3), period=round(length / max(1, len(starts)), 5), memory_MiB=peak)


def worker(a):
    runs = schedule()
    import torch
    for key in ("torchvision", "transformers", "timm", "torch_geometric"):
        try:
            module = __import__(key)
            say(key, module.__version__)
        except Exception as e:  # its families will say so again
            say("cannot import", key, repr(e)[:200])
    dev = "cuda" if torch.cuda.is_available() else "cpu"
    say("torch", torch.__version__, "on", torch.cuda.get_device_name(0) if dev == "cuda" else "cpu")
    for i in range(a.start, len(runs)):
        r = runs[i]
        if a.only and not re.search(a.only, r["run"]):
            continue
        seconds = a.seconds * (2 if r.get("load") == "stall" else 1)
        if time.time() + seconds + 2 > a.deadline:
            say("out of time before", r["run"])
            break
        with open(a.state, "w") as f:
            json.dump(dict(index=i, started=time.time()), f)
        began = time.time()
        try:
            result = run_one(torch, r, seconds, dev, a.tiny)
        except Exception as e:
            result = dict(error=repr(e)[:400])
        mark()
        result["took"] = round(time.time() - began, 2)
        note(a.runs, dict(**r, result=result))
        say(r["run"], r.get("variant"), r.get("batch"), r.get("precision"), r.get("load"), json.dumps(result))
        for _ in range(2):
            gc.collect()
        if dev == "cuda":
            try:
                torch.cuda.empty_cache()
                getattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None)()
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            except Exception as e:
                say("the GPU is gone:", repr(e)[:200])
                sys.exit(3)
    sys.exit(0)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seconds", type=float, default=60, help="length of each run (default 60)")
    p.add_argument("--budget", type=float, default=float("inf"), help="seconds after which nothing more is begun")
    p.add_argument("--limit", type=float, default=30, help="seconds a run may take beyond its length")
    p.add_argument("--only", default="", help="regular expression of the runs wanted")
    p.add_argument("--runs", default="runs.jsonl", help="file for what was run")
    p.add_argument("--list", action="store_true", help="list the runs and end")
    p.add_argument("--tiny", action="store_true", help="tiny models, to try the script on a CPU")
    for hidden in ("--start", "--deadline", "--state"):
        p.add_argument(hidden, default=None, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.list:
        for r in schedule():
            print(json.dumps(r))
        return
    if a.start is not None:
        a.start, a.deadline = int(a.start), float(a.deadline)
        return worker(a)

    runs, state = schedule(), a.runs + ".state"
    deadline = T0 + a.budget
    child = None

    def end(*_):
        if child and child.poll() is None:
            child.kill()
        sys.exit(143)

    signal.signal(signal.SIGTERM, end)
    start = 0
    if not a.only or re.search(a.only, runs[0]["run"]):  # before anything has opened the GPU
        mark(runs[0], "run")
        time.sleep(min(a.seconds, 60))
        mark()
        note(a.runs, dict(**runs[0], result=dict(iterations=0)))
    start = 1
    while start < len(runs) and time.time() < deadline:
        with open(state, "w") as f:
            json.dump(dict(index=start - 1, started=time.time() + 60), f)
        child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--seconds", str(a.seconds), "--only", a.only, "--runs", a.runs,
                                  "--start", str(start), "--deadline", str(deadline), "--state", state] + (["--tiny"] if a.tiny else []))
        while child.poll() is None:
            time.sleep(0.25)
            try:
                with open(state) as f:
                    at = json.load(f)
            except ValueError:
                continue
            if time.time() > at["started"] + 2 * a.seconds + a.limit or time.time() > deadline + 5:
                say("killed:", runs[at["index"]]["run"])
                child.kill()
                child.wait()
        mark()
        if child.returncode == 0 or time.time() > deadline:
            break
        with open(state) as f:
            failed = json.load(f)["index"]
        say("worker ended with", child.returncode, "at", runs[failed]["run"])
        note(a.runs, dict(**runs[failed], result=dict(error=f"worker ended with {child.returncode}")))
        start = max(start, failed) + 1
    try:
        os.remove(state)
    except OSError:
        pass


main()
