"""Reference tensors of multi-branch convolution blocks: `field_*.safetensors`, `field_blocks.json`.

`block_reference.py` beside it says what a block computes. Needs torch, numpy and safetensors:
`python tests/golden/blocks.py`, from any folder.

Parameters and inputs are drawn in float64 and rounded to float32. Everything else is computed from
them in float64 and rounded to float32 once, so that it is better than any float32 computation. The
same is done in float32 throughout, to see how far that may be off; only figures of it are shown.

Before anything is written the script checks itself: `check_*`, and the asserts in `write`.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

from block_reference import EPS, MOMENTUM, Case, compute, draw, embed, forward, pad, per_channel, trained

HERE = Path(__file__).parent
FUSED_TOLERANCE = 1e-12  # |fused.y - eval.y| in float64
FLOAT32_TOLERANCE = 1e-4  # of float32 throughout, relative to a tensor's largest value (or to 1)
PUBLISHED_TOLERANCE = 5e-5  # the same, of the published implementation, which computed in float32
NOISE = 1e-12  # what float64 leaves of a gradient that is zero: stored as zero


def distance(a, b):
    """Largest difference, relative to the largest value or to 1."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return ((a.double() - b.double()).abs().max() / max(1.0, b.abs().max().item())).item()


def check_small_kernels(case, p, x):
    """Embedding a kernel is convolving with it, padded by less and dilated by its rate."""
    for b in case.parts:
        if not b.conv or b.first:
            continue
        rows, columns, rate = b.taps
        w, dilation = p[f"{b.conv}.weight"], [d * rate for d in case.dilation]
        top, left = (case.padding[a] - case.dilation[a] * b.taps[a][0].item() for a in (0, 1))
        bottom, right = (case.padding[2 + a] - case.dilation[a] * (case.kernel[a] - 1 - b.taps[a][-1].item())
                         for a in (0, 1))
        small = F.conv2d(F.pad(x, (left, right, top, bottom)), w, None, case.stride, 0, dilation, case.groups)
        whole = F.conv2d(pad(case, x), embed(case, b, w), None, case.stride, 0, case.dilation, case.groups)
        assert distance(small, whole) < 1e-12, (case.name, b.path)


def check_norm():
    """PyTorch's batch norm is the one described: biased to normalise, unbiased to remember."""
    x, mean, var = torch.randn(3, 2, 4, 5, dtype=torch.float64), torch.zeros(2).double(), torch.ones(2).double()
    y = F.batch_norm(x, mean, var, training=True, momentum=MOMENTUM, eps=EPS)
    m, v, n = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0), 60
    assert distance(y, (x - per_channel(m)) / torch.sqrt(per_channel(v) + EPS)) < 1e-12
    assert distance(mean, MOMENTUM * m) < 1e-12
    assert distance(var, 1 - MOMENTUM + MOMENTUM * v * n / (n - 1)) < 1e-12


def check_gradients():
    """Gradients against differences. Borders are prescribed, for no gradient is to reach them; that
    none does is the second check, and that they matter the control."""
    case = Case("tiny", "tiny", [2, 2], [3, 2],
                ["kxk:scale", "kxk.2:none", "kxk.3:constant", "1x1_kxk", "1x1_2x2:scale", "1x1_avg", "avg",
                 "3x1", "identity:scale", "1x1:bias"], norm_after=True, input=[5, 4], mid={"1x1_kxk": 3})
    p, x, rng = draw(case)
    borders = forward(case, p, x, True)[2]
    names = trained(case, p)

    def block(x, *values):
        return forward(case, {**p, **dict(zip(names, values))}, x, True, borders)[0]

    inputs = [v.clone().requires_grad_() for v in [x, *(p[name] for name in names)]]
    assert torch.autograd.gradcheck(block, inputs, eps=1e-6, atol=1e-7, rtol=1e-5)

    grad_y = torch.tensor(rng.standard_normal(list(block(*inputs).shape)))
    live, fixed = compute(case, p, x, grad_y), compute(case, p, x, grad_y, borders)
    assert all(torch.equal(live[name], fixed[name]) for name in live)
    for wrong in ({b: 0 * v for b, v in borders.items()}, forward(case, p, x, False)[2]):
        other = compute(case, p, x, grad_y, wrong)
        assert distance(other["train.y"], live["train.y"]) > 1e-3, "the control: borders do not matter"


def check_published():
    """The same description on the published implementation's blocks, `block_NN.safetensors`."""
    worst = (0.0, "")
    for form in json.loads((HERE / "index.json").read_text())["blocks"]:
        stored = load_file(HERE / form["file"])
        stored = {k.replace("dbb_id.", "identity.bn.").replace("dbb_", "").replace(".bn.bn.", ".bn.")
                  .replace(".bn1.bn.", ".bn1."): torch.tensor(v).double() for k, v in stored.items()}
        case = Case(form["file"], "published", [form["in_channels"], form["out_channels"]],
                    [form["kernel"]] * 2, [b for b, there in form["branches"].items() if there],
                    stride=[form["stride"]] * 2, groups=form["groups"], padding=[form["padding"]] * 4, bias=True)
        p = {k.removeprefix("param."): v for k, v in stored.items()
             if k.startswith("param.") and not k.endswith("num_batches_tracked")}
        for name, v in compute(case, p, stored["x"], stored["grad_y"]).items():
            d = distance(v, stored[name])
            assert d < PUBLISHED_TOLERANCE, (form["file"], name, d)
            worst = max(worst, (d, name))
    print("published blocks: within %.1e (%s)" % worst)


def write(case):
    """Computes a case, checks it, writes its file; returns its entry in the index."""
    p, x, rng = draw(case)
    grad_y = lambda shape: torch.tensor(rng.standard_normal(shape)).float().double()
    exact = compute(case, p, x, grad_y)
    off = (exact["fused.y"] - exact["eval.y"]).abs().max().item()
    assert off < FUSED_TOLERANCE, (case.name, off)
    check_small_kernels(case, p, x)
    single = compute(case, {k: v.float() for k, v in p.items()}, x.float(), exact["grad_y"].float())
    far = {k: distance(single[k], exact[k]) for k in exact}
    assert max(far.values()) < FLOAT32_TOLERANCE, (case.name, max(far.items(), key=lambda e: e[1]))

    tensors = {f"param.{k}": v for k, v in p.items()} | {"x": x} | exact
    rounded = {k: torch.where(v.abs() < NOISE, 0, v).float().contiguous().numpy() for k, v in tensors.items()}
    file = f"field_{case.name}.safetensors"
    save_file(rounded, HERE / file)
    print(f"{file:44} {(HERE / file).stat().st_size:6} bytes, {list(x.shape)} -> {list(exact['eval.y'].shape)}, "
          f"fused off by {off:.0e}, float32 by {max(far.values()):.0e} ({max(far, key=far.get)})")
    keys = ("name", "preset", "channels", "kernel", "stride", "dilation", "groups", "padding", "norm_after", "bias",
            "branches")
    entry = {"file": file} | {k: getattr(case, k) for k in keys}
    mid = {b.path: b.mid for b in case.parts if b.first}
    return entry | ({"mid_channels": mid} if mid else {})


def cases():
    two = [2, 2]
    kxk4 = ["kxk", "kxk.2", "kxk.3", "kxk.4"]
    yield Case("mobileone_dense", "mobileone", [4, 4], [3, 3], kxk4 + ["1x1", "identity"])
    yield Case("mobileone_depthwise_stride2", "mobileone", [4, 4], [3, 3], kxk4 + ["1x1"], stride=two, groups=4,
               input=[9, 10])
    yield Case("mobileone_pointwise", "mobileone", [4, 4], [1, 1], kxk4 + ["identity"])
    yield Case("replknet_13", "replknet", [4, 4], [13, 13], ["kxk", "5x5"], groups=4, input=[7, 10])
    yield Case("replknet_9_stride2", "replknet", [4, 4], [9, 9], ["kxk", "5x5"], stride=two, groups=4, input=[12, 11])
    yield Case("unireplknet_13", "unireplknet", [4, 4], [13, 13],
               ["kxk", "5x5", "7x7d2", "3x3d3", "3x3d4", "3x3d5"], groups=4, input=[9, 9])
    yield Case("unireplknet_9_stride2", "unireplknet", [4, 4], [9, 9],
               ["kxk", "5x5", "5x5d2", "3x3d3", "3x3d4"], stride=two, groups=4, input=[14, 13])
    yield Case("unireplknet_5_dilation2", "unireplknet", [4, 4], [5, 5], ["kxk", "3x3", "3x3d2"], dilation=two,
               groups=4, input=[8, 9])
    repvit = ["kxk", "1x1:bias", "identity:none"]
    yield Case("repvit", "repvit", [4, 4], [3, 3], repvit, groups=4, norm_after=True)
    yield Case("repvit_stride2", "repvit", [4, 4], [3, 3], repvit[:2], stride=two, groups=4, norm_after=True,
               input=[9, 8], batch=3)
    qarepvgg = ["kxk", "1x1:none", "identity:none"]
    yield Case("qarepvgg", "qarepvgg", [4, 4], [3, 3], qarepvgg, norm_after=True)
    yield Case("qarepvgg_grouped_stride2", "qarepvgg", [4, 8], [3, 3], qarepvgg[:2], stride=two, groups=2,
               norm_after=True, input=[10, 9])
    yield Case("qarepvgg_v2", "qarepvgg_v2", [4, 4], [3, 3], qarepvgg + ["avg:none"], norm_after=True)
    yield Case("qarepvgg_v2_grouped_dilation2", "qarepvgg_v2", [4, 4], [3, 3], qarepvgg + ["avg:none"],
               dilation=two, groups=2, norm_after=True)
    csla = ["kxk:constant", "1x1:constant", "identity:scale"]
    yield Case("csla", "csla", [4, 4], [3, 3], csla, norm_after=True)
    yield Case("csla_3x5_grouped", "csla", [4, 4], [3, 5], csla, groups=2, norm_after=True)
    # The middle tap on the own pixel, and less padding after than before.
    yield Case("csla_stride2_uneven", "csla", [4, 6], [3, 3], csla[:2], stride=two, padding=[1, 1, 0, 0],
               norm_after=True, input=[10, 8])
    mixed = ["kxk:scale", "kxk.2:none", "1x1_3x3d2", "1x1_kxk:scale", "1x1_avg:scale", "avg", "3x3:scale", "1xk",
             "kx1:bias"]
    yield Case("mixed_dense", "mixed", [4, 4], [5, 5], mixed)
    yield Case("mixed_grouped_stride2", "mixed", [4, 4], [5, 5], mixed, stride=two, groups=2, input=[9, 10],
               mid={"1x1_3x3d2": 8, "1x1_kxk": 8})
    yield Case("mixed_depthwise_dilation2", "mixed", [4, 4], [5, 5], mixed, dilation=two, groups=4, input=[9, 9])
    dbb = ["kxk", "1x1", "1x1_kxk", "1x1_avg"]
    yield Case("dbb", "dbb", [4, 6], [3, 3], dbb, bias=True)
    yield Case("dbb_depthwise_stride2", "dbb", [4, 4], [3, 3], dbb, stride=two, groups=4, bias=True, input=[9, 10],
               mid={"1x1_kxk": 8})
    acnet = ["kxk", "1xk", "kx1"]
    yield Case("acnet", "acnet", [4, 4], [3, 3], acnet, bias=True)
    yield Case("acnet_3x5_stride2x1", "acnet", [4, 5], [3, 5], acnet, stride=[2, 1], bias=True)
    repvgg = ["kxk", "1x1", "identity"]
    yield Case("repvgg", "repvgg", [4, 4], [3, 3], repvgg, bias=True)
    yield Case("repvgg_grouped_stride2", "repvgg", [4, 8], [3, 3], repvgg[:2], stride=two, groups=2, bias=True)
    dyrep = ["kxk", "1x1", "1x1_kxk", "1x1_avg", "1xk", "kx1", "identity"]
    yield Case("dyrep", "dyrep", [4, 4], [3, 3], dyrep, bias=True)
    yield Case("repnas", "repnas", [4, 4], [3, 3], dyrep)
    searched = ["kxk", "1x1", "1x1_avg", "kxk.2", "1xk", "kx1"]
    yield Case("repnas_stride2", "repnas", [4, 6], [3, 3], searched, stride=two, input=[9, 10])
    # Even sizes: of the two middle taps the second one up and down, the first one left and right.
    yield Case("dyrep_4x2", "dyrep", [4, 4], [4, 2], dyrep, groups=2, padding=[2, 0, 1, 1], bias=True)
    yield Case("mobileone_s1_depthwise", "mobileone_s1", [4, 4], [3, 3], ["kxk", "1x1", "identity"], groups=4, input=[7, 6])
    yield Case("mobileone_s1_pointwise", "mobileone_s1", [4, 4], [1, 1], ["kxk", "identity"], input=[6, 7])


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    check_norm()
    check_gradients()
    check_published()
    entries = [json.dumps(write(case)) for case in cases()]
    text = '{"torch": %s, "cases": [\n%s\n]}\n' % (json.dumps(torch.__version__.split("+")[0]), ",\n".join(entries))
    (HERE / "field_blocks.json").write_text(text)
    total = sum(f.stat().st_size for f in HERE.glob("field_*"))
    print(f"{len(entries)} cases, {total} bytes")


if __name__ == "__main__":
    main()
