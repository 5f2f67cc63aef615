#!/usr/bin/env python3
"""Writes labels.json: what the labels of made-up logs are, by an oracle that
shares nothing with the Go code. Sorting, percentiles and the distribution
function are those of the libraries that the published pipeline stands on
(numpy 1.24, pandas 1.5, statsmodels 0.13); newer numpy sorts otherwise where
the processor has AVX-512. The rules are restated from the description in
docs/artifacts/heimdall.md.

    python3 labels.py > labels.json
"""
import hashlib
import json

import numpy as np
import pandas as pd
from statsmodels.distributions.empirical_distribution import ECDF

MASK = (1 << 64) - 1


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        return (z ^ z >> 31) % n


def made_up(kind, n, seed):
    """Rows of submit (us), latency (us), size (B), read, short."""
    r = SplitMix(seed)
    at, stall, rows = 0, 0, []
    for i in range(n):
        step = r.below(8)
        at += {"ties": 0 if step else 900, "same-time": 0, "backwards": 100}.get(kind, step * 40)
        stall = max(0, stall - 1)
        if r.below(60) == 0:
            stall = 3 + r.below(30)
        latency = 60 + r.below(90) + (r.below(4) == 0) * r.below(400)
        if stall and kind != "all-fast":
            latency += 1500 + r.below(4000)
        if kind == "all-slow":
            latency += 9000
        if kind == "constant":
            latency = 100
        if kind == "two-values":
            latency = 100 if r.below(3) else 1000
        size = 4096 if kind in ("one-size", "constant", "two-values") else 4096 << r.below(6)
        if kind == "odd-sizes":
            size = 512 * (1 + r.below(2000))
        submit = at
        if kind == "backwards":
            submit = (n - i) * 100 // 7 * 7
        if kind == "killer":  # Musser's permutation, at which a median of three fails, thinned to ties
            half = (n + 1) // 2
            submit = (i + 1 if i % 2 == 0 else half + i) if i < half else 2 * (i - half) + 2
            submit = submit // 4 * 4
        rows.append((submit, latency, size, r.below(3) > 0, r.below(200) == 0))
    return rows


def tangent(v):
    v = v[v <= np.percentile(v, 97)]
    top = np.max(v)
    if top == 0:  # nothing moved a byte in a microsecond: there is no shape to find
        return 0, 0.0
    x = np.linspace(0, 1, num=10000)
    y = ECDF(np.divide(v, top))(x)
    at = np.argmax(y - x)
    return int(x[at] * top), y[at] * 0.97 * 100


def label(rows, kind):
    df = pd.DataFrame(rows, columns=["submit", "latency", "size", "read", "short"])
    df = df[~df["short"]]
    df["ms"] = df["submit"] / 1000
    df = df.sort_values("ms", kind=kind)
    order = hashlib.sha256(np.asarray(df.index, dtype="<i4").tobytes()).hexdigest()[:16]
    lat = df["latency"].to_numpy()
    thpt = (df["size"] / df["latency"]).round(0).to_numpy()
    n = len(lat)
    ip_lat, at = tangent(lat)
    ip_thpt, _ = tangent(thpt)
    med_lat, med_thpt = np.percentile(lat, 50), np.percentile(thpt, 50)
    slow = [False] * n

    def begins(i):
        before = thpt[i - 1] if i else 0
        return thpt[i] <= ip_thpt and lat[i] >= ip_lat and round(before / (thpt[i] + 0.1), 1) >= 1.7

    def back(i):
        return all((thpt[k] if k < n else 0) >= med_thpt for k in range(i, i + 3))

    i = 0
    while i < n:
        if begins(i):
            slow[i] = True
            i += 1
            while i < n and not back(i):
                slow[i] = True
                i += 1
        i += 1
    o1 = [s and lat[i] <= med_lat and thpt[i] >= med_thpt for i, s in enumerate(slow)]
    o2 = [not s and lat[i] > ip_lat and thpt[i] < med_thpt for i, s in enumerate(slow)]
    left = [s for i, s in enumerate(slow) if not o1[i] and not o2[i]]
    o3, run, kept = 0, 0, []
    for s in left:
        if s:
            run += 1
        else:
            if run <= 3:
                o3 += run
            else:
                kept += [True] * run
            run = 0
            kept.append(False)
    kept += [True] * run
    return {
        "order": order, "n": n, "ip_lat": ip_lat, "ip_lat_percentile": float(at), "ip_thpt": ip_thpt,
        "med_lat": float(med_lat), "med_thpt": float(med_thpt), "slow_before_filter": sum(slow),
        "outlier1": int(sum(o1)), "outlier2": int(sum(o2)), "outlier3": o3, "labeled": len(kept),
        "fast": kept.count(False), "slow": kept.count(True), "cutoff_slow": int((lat > ip_lat).sum()),
    }


cases = []
for kind in ["plain", "ties", "same-time", "backwards", "all-fast", "all-slow", "constant", "two-values", "one-size", "odd-sizes", "killer"]:
    for n in [1, 2, 3, 4, 17, 100, 3000]:
        for seed in [1, 2]:
            if n == 3000 and seed == 2:
                n = 20000
            rows = made_up(kind, n, seed)
            if all(row[4] for row in rows):
                continue
            for sort in ["stable", "quicksort"]:
                cases.append({"kind": kind, "rows": n, "seed": seed, "sort": sort, "want": label(rows, sort)})

print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")
