"""CSLA's blocks trained by PyTorch's own optimisers, in float64: what a plain network with multiplied steps must repeat.

Plain PyTorch calls, written from the description of the blocks: s3 conv3x3 + s1 conv1x1 + t x, with constants s3 and s1 for
each output channel and a learnt t. Nothing here multiplies gradients: the blocks are there, and torch.optim trains them.
`python rep_optimizer.py` in this folder writes rep_optimizer.safetensors: where both runs start, their batches, and of each
run the losses and where it ends, with the one kernel that each block is (PyTorch 2.15.0, safetensors 0.8.0, CPU).
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

STEPS = 24
BATCH = 5

# name, inputs, outputs, kernel, stride, groups, bias
LAYERS = [
    ("first", 3, 4, 3, 1, 1, False),
    ("same", 4, 4, 3, 1, 1, False),
    ("strided", 4, 6, 3, 2, 2, False),
    ("grouped", 6, 6, 3, 1, 3, False),
    ("pointwise", 6, 6, 1, 1, 1, False),
    ("depthwise", 6, 6, 5, 1, 6, True),
]


def uniform(generator, *shape, low=-1.0, high=1.0):
    drawn = torch.rand(*shape, generator=generator, dtype=torch.float64) * (high - low) + low
    # What the file holds is what both begin with.
    return drawn.float().double()


def signed(generator, outputs):
    sign = torch.where(torch.rand(outputs, generator=generator) < 0.5, -1.0, 1.0).double()
    return sign * uniform(generator, outputs, low=0.3, high=1.7)


def run(name, optimizer, decay, file):
    g = torch.Generator().manual_seed(11)
    params, constants = {}, {}
    for layer, inputs, outputs, kernel, stride, groups, bias in LAYERS:
        params[f"{layer}.kxk"] = uniform(g, outputs, inputs // groups, kernel, kernel, low=-0.5, high=0.5)
        params[f"{layer}.1x1"] = uniform(g, outputs, inputs // groups, 1, 1, low=-0.4, high=0.4)
        constants[f"{layer}.kxk"] = signed(g, outputs)
        constants[f"{layer}.1x1"] = signed(g, outputs)
        if inputs == outputs and stride == 1:
            params[f"{layer}.identity"] = uniform(g, outputs, low=0.5, high=1.5)
        if bias:
            params[f"{layer}.bias"] = uniform(g, outputs, low=-0.3, high=0.3)
        else:
            params[f"{layer}.gamma"] = uniform(g, outputs, low=0.7, high=1.3)
            params[f"{layer}.beta"] = uniform(g, outputs, low=-0.2, high=0.2)
    params["head.weight"] = uniform(g, 3, 6)
    params["head.bias"] = uniform(g, 3, low=-0.2, high=0.2)
    inputs = uniform(g, STEPS, BATCH, 3, 8, 8, low=-1.5, high=1.5)
    targets = uniform(g, STEPS, BATCH, 3, low=-1.5, high=1.5)

    # The same for every run.
    file |= {f"start.{key}": value.clone() for key, value in params.items()}
    file |= {f"constant.{key}": value for key, value in constants.items()}
    file |= {"inputs": inputs, "targets": targets}
    for value in params.values():
        value.requires_grad_(True)

    def loss(x, target):
        for layer, _, outputs, kernel, stride, groups, bias in LAYERS:
            scale = {key: constants[f"{layer}.{key}"].view(1, -1, 1, 1) for key in ("kxk", "1x1")}
            own = params.get(f"{layer}.bias")
            y = scale["kxk"] * F.conv2d(x, params[f"{layer}.kxk"], own, stride, kernel // 2, 1, groups)
            y = y + scale["1x1"] * F.conv2d(x, params[f"{layer}.1x1"], None, stride, 0, 1, groups)
            identity = params.get(f"{layer}.identity")
            if identity is not None:
                y = y + identity.view(1, -1, 1, 1) * x
            if not bias:
                y = F.batch_norm(y, None, None, params[f"{layer}.gamma"], params[f"{layer}.beta"], True, eps=1e-5)
            x = torch.tanh(y)
        logits = F.linear(x.mean(dim=(2, 3)), params["head.weight"], params["head.bias"])
        return ((logits - target) ** 2).mean()

    spared = [value for key, value in params.items() if key.split(".")[-1] in ("gamma", "beta", "bias")]
    others = [value for key, value in params.items() if key.split(".")[-1] not in ("gamma", "beta", "bias")]
    groups = [{"params": others, "weight_decay": decay}, {"params": spared, "weight_decay": 0.0}]
    optimizer = optimizer(groups)
    rate = optimizer.param_groups[0]["lr"]
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate / (1 + step // 4)
        optimizer.zero_grad()
        value = loss(inputs[step], targets[step])
        value.backward()
        optimizer.step()
        losses.append(value.detach())
    file[f"{name}.losses"] = torch.stack(losses)

    # The one kernel that each block is.
    for layer, inputs_, outputs, kernel, stride, groups_, bias in LAYERS:
        p = kernel // 2
        with torch.no_grad():
            kxk = params[f"{layer}.kxk"] * constants[f"{layer}.kxk"].view(-1, 1, 1, 1)
            one = params[f"{layer}.1x1"] * constants[f"{layer}.1x1"].view(-1, 1, 1, 1)
            whole = kxk + F.pad(one, (p, p, p, p))
            identity = params.get(f"{layer}.identity")
            if identity is not None:
                each = inputs_ // groups_
                for channel in range(outputs):
                    whole[channel, channel % each, p, p] += identity[channel]
            file[f"{name}.end.{layer}.weight"] = whole
            if bias:
                file[f"{name}.end.{layer}.bias"] = params[f"{layer}.bias"] * constants[f"{layer}.kxk"]
            else:
                for key in ("gamma", "beta"):
                    file[f"{name}.end.{layer}.{key}"] = params[f"{layer}.{key}"].detach()
    for key in ("head.weight", "head.bias"):
        file[f"{name}.end.{key}"] = params[key].detach()
    print(name, "losses", [round(float(value), 4) for value in losses[::6]])


torch.set_num_threads(1)
FILE = {}
run("sgd", lambda groups: torch.optim.SGD(groups, lr=0.3, momentum=0.9, nesterov=True), 0.02, FILE)
run("adamw", lambda groups: torch.optim.AdamW(groups, lr=0.02, betas=(0.9, 0.99), eps=1e-8), 0.1, FILE)
FILE = {key: value.detach().float().contiguous() for key, value in FILE.items()}
save_file(FILE, "rep_optimizer.safetensors")
