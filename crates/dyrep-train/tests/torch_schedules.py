"""Learning rates of PyTorch's schedulers, for the tests in src/schedule: `python torch_schedules.py` (PyTorch 2.15)."""

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import OneCycleLR, PolynomialLR, ReduceLROnPlateau


def optimizer(rate):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def rates(optimizer, scheduler, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def show(name, values):
    print(name, "[" + ", ".join(repr(value) for value in values) + "]")


one = optimizer(0.1)
show("one_cycle", rates(one, OneCycleLR(one, max_lr=0.4, total_steps=10), 10))
one = optimizer(0.1)
other = dict(pct_start=0.25, div_factor=10, final_div_factor=100)
show("one_cycle, other", rates(one, OneCycleLR(one, max_lr=0.4, total_steps=9, **other), 9))
poly = optimizer(0.4)
show("poly", rates(poly, PolynomialLR(poly, total_iters=8, power=0.9), 10))

ACCURACIES = [0.5, 0.6, 0.6, 0.60005, 0.59, 0.7, 0.69, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.8, 0.1, 0.1]
plain = dict(factor=0.5, patience=1, threshold=1e-4)
for name, options in [
    ("plateau", plain),
    ("plateau, cooldown", dict(plain, cooldown=2)),
    ("plateau, min", dict(plain, patience=0, min_lr=0.15)),
]:
    plateau = optimizer(0.4)
    scheduler = ReduceLROnPlateau(plateau, mode="max", **options)
    found = []
    for accuracy in ACCURACIES:
        found.append(plateau.param_groups[0]["lr"])
        plateau.step()
        scheduler.step(accuracy)
    show(name, found + [plateau.param_groups[0]["lr"]])
