"""A search of branches by plain PyTorch: `search.json`, for `src/search/tests.rs`.

Written from the description of RepNAS (arXiv 2109.03508), not from anybody's code. Needs torch alone:
`python crates/dyrep-burn/tests/golden/search.py`, from any folder (made with Python 3.11, PyTorch 2.15).

Two layers, of stride 1 with an identity and of stride 2 without; six gated branches each. Here the gates are in the
graph: gate = mask + sigma(r) - stop_gradient(sigma(r)), multiplied to what a branch gives, and the scores' gradients are
autograd's. A branch whose mask is 0 is not computed. Everything in float64.
"""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F

torch.manual_seed(20211109)
EPS, MOMENTUM, SHARE = 1e-5, 0.1, 0.34
RATE, BETAS, DECAY = 0.05, (0.5, 0.999), 5e-4
STEPS = 6
X, MID, OUT = [3, 4, 6, 6], 4, 6

# Path of the layer, channels, stride, gated branches in the order in which a block keeps them, always on.
LAYERS = [
    ("first", [4, MID], 1, ["kxk", "1x1", "1x1_kxk", "1x1_avg", "1xk", "kx1"], ["identity"]),
    ("second", [MID, OUT], 2, ["kxk", "1x1", "1x1_avg", "kxk.2", "1xk", "kx1"], []),
]
SIZES = {"kxk": (3, 3), "kxk.2": (3, 3), "1x1": (1, 1), "1xk": (1, 3), "kx1": (3, 1)}


def single(*shape, low=-1.0, high=1.0):
    """Numbers that float32 holds."""
    return (torch.rand(*shape) * (high - low) + low).float().double()


def norm_params(p, path, channels):
    p[f"{path}.gamma"] = single(channels)
    p[f"{path}.beta"] = single(channels)
    p[f"{path}.running_mean"] = single(channels)
    p[f"{path}.running_var"] = single(channels, low=0.5, high=1.5)


def draw_params():
    p = {}
    for layer, (inputs, outputs), _, gated, always in LAYERS:
        for branch in gated + always:
            path = f"{layer}.{branch}"
            if branch in SIZES:
                p[f"{path}.conv.weight"] = single(outputs, inputs, *SIZES[branch])
                norm_params(p, f"{path}.bn", outputs)
            elif branch == "identity":
                norm_params(p, f"{path}.bn", outputs)
            elif branch == "1x1_kxk":
                p[f"{path}.conv1.weight"] = single(inputs, inputs, 1, 1)
                norm_params(p, f"{path}.bn1", inputs)
                p[f"{path}.conv2.weight"] = single(outputs, inputs, 3, 3)
                norm_params(p, f"{path}.bn2", outputs)
            elif branch == "1x1_avg":
                p[f"{path}.conv.weight"] = single(outputs, inputs, 1, 1)
                norm_params(p, f"{path}.bn", outputs)
                norm_params(p, f"{path}.avgbn", outputs)
    return p


def norm(p, path, x):
    """By the batch; also what zero becomes, by the running statistics that this batch leaves."""
    gamma, beta = p[f"{path}.gamma"], p[f"{path}.beta"]
    n = x.numel() / x.shape[1]
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    each = lambda v: v[None, :, None, None]
    y = each(gamma) * (x - each(mean)) / torch.sqrt(each(var) + EPS) + each(beta)
    moved = lambda old, new: (1 - MOMENTUM) * old + MOMENTUM * new.detach()
    running = moved(p[f"{path}.running_mean"], mean), moved(p[f"{path}.running_var"], var * n / (n - 1))
    zero = beta - gamma * running[0] / torch.sqrt(running[1] + EPS)
    return y, zero.detach()


def bordered(x, value):
    border = 1 - F.pad(torch.ones_like(x[:1, :1]), (1, 1, 1, 1))
    return F.pad(x, (1, 1, 1, 1)) + value[None, :, None, None] * border


def branch_output(p, path, branch, x, stride):
    if branch in SIZES:
        h, w = SIZES[branch]
        y = F.conv2d(x, p[f"{path}.conv.weight"], None, stride, (h // 2, w // 2))
        return norm(p, f"{path}.bn", y)[0]
    if branch == "identity":
        return norm(p, f"{path}.bn", x)[0]
    if branch == "1x1_kxk":
        y, zero = norm(p, f"{path}.bn1", F.conv2d(x, p[f"{path}.conv1.weight"]))
        return norm(p, f"{path}.bn2", F.conv2d(bordered(y, zero), p[f"{path}.conv2.weight"], None, stride))[0]
    y, zero = norm(p, f"{path}.bn", F.conv2d(x, p[f"{path}.conv.weight"]))
    return norm(p, f"{path}.avgbn", F.avg_pool2d(bordered(y, zero), 3, stride))[0]


def gumbel(u):
    return -torch.log(-torch.log(u))


def forward(p, x, mask, gates):
    at = 0
    for layer, _, stride, gated, always in LAYERS:
        here = list(zip(gated, range(at, at + len(gated))))
        at += len(gated)
        parts = [branch_output(p, f"{layer}.{b}", b, x, stride) for b in always]
        parts += [gates[i] * branch_output(p, f"{layer}.{b}", b, x, stride) for b, i in here if mask[i] == 1]
        # Nothing is chosen and nothing else is there: k×k without a gate.
        x = sum(parts) if parts else branch_output(p, f"{layer}.kxk", "kxk", x, stride)
    return x


def main():
    p, x = draw_params(), single(*X)
    grad_y = single(X[0], OUT, X[2] // 2, X[3] // 2)
    number = sum(len(gated) for _, _, _, gated, _ in LAYERS)
    k = int(SHARE * number)
    alpha = torch.zeros(number, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([alpha], lr=RATE, betas=BETAS, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=STEPS)
    steps = []
    for step in range(STEPS):
        # The last step but one leaves the second layer without a branch.
        draws = single(number, 2, low=0.02, high=0.98)
        if step == STEPS - 2:
            draws[:4] = torch.tensor([0.97, 0.02]).float().double()
        ranks = (alpha + gumbel(draws[:, 0]) - gumbel(draws[:, 1])).detach()
        order = torch.topk(ranks, k).indices
        mask = torch.zeros(number, dtype=torch.float64)
        mask[order] = 1
        # As a function of the score, so that autograd sees through it.
        noisy = alpha + (ranks - alpha.detach())
        sigmoid = torch.sigmoid(noisy)
        gates = mask + sigmoid - sigmoid.detach()
        adam.zero_grad(set_to_none=True)
        loss = (forward(p, x, mask, gates) * grad_y).sum()
        loss.backward()
        gradient = alpha.grad.clone()
        assert (gradient[mask == 0] == 0).all() and (gradient[mask == 1] != 0).all()
        before, rate = alpha.detach().clone(), schedule.get_last_lr()[0]
        adam.step()
        schedule.step()
        steps.append({"draws": draws.tolist(), "before": before.tolist(), "ranks": ranks.tolist(),
                      "mask": [int(m) for m in mask], "gradient": gradient.tolist(), "rate": rate / RATE,
                      "after": alpha.detach().tolist(), "loss": loss.item()})
    assert all(sum(step["mask"]) == k for step in steps)
    assert sum(steps[-2]["mask"][6:]) == 0, "the second layer has nothing"
    found = torch.topk(alpha.detach(), k).indices.tolist()
    # The gap to what is not chosen must be no rounding.
    ordered = sorted(alpha.detach().tolist(), reverse=True)
    assert ordered[k - 1] - ordered[k] > 1e-4
    out = {"share": SHARE, "budget": k, "rate": RATE, "betas": BETAS, "weight_decay": DECAY,
           "layers": [[layer, channels, stride, gated] for layer, channels, stride, gated, _ in LAYERS],
           "params": {name: [list(v.shape), v.flatten().tolist()] for name, v in p.items()},
           "x": [X, x.flatten().tolist()], "grad_y": [list(grad_y.shape), grad_y.flatten().tolist()],
           "steps": steps, "found": sorted(found)}
    text = json.dumps(out)
    assert math.isfinite(steps[-1]["loss"]) and "NaN" not in text
    (Path(__file__).parent / "search.json").write_text(text + "\n")
    print(f"{len(text)} bytes, {k} of {number}; found {sorted(found)}")


main()
