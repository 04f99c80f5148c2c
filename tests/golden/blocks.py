"""Reference tensors of multi-branch convolution blocks: `field_*.safetensors`, `field_blocks.json`.

`block_reference.py` beside it says what a block computes. Needs torch, numpy and safetensors:
`python tests/golden/blocks.py`, from any folder.

Parameters and inputs are drawn in float64 and rounded to float32. Everything else is computed from
them in float64 and rounded to float32 once, so that it is better than any float32 computation. The
same is done in float32 throughout, to see how far that may be off; only figures of it are shown.

Before anything is written the script checks itself: `check_*`, and the asserts in `write`.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

from block_reference import EPS, MOMENTUM, Case, compute, draw, embed, forward, fuse, pad, per_channel, trained

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
        if not b.conv or b.first or b.block:
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
    check_gradients_of(Case(
        "tiny", "tiny", [2, 2], [3, 2],
        ["kxk:scale", "kxk.2:none", "kxk.3:constant", "1x1_kxk", "1x1_2x2:scale", "1x1_avg", "avg",
         "3x1", "identity:scale", "1x1:bias"], norm_after=True, input=[5, 4], mid={"1x1_kxk": 3}))
    online = ["kxk:scale", "1x1_avg:linear", "1x1_prior:linear", "dw_1x1:linear", "id1x1_kxk:linear"]
    check_gradients_of(Case(
        "tiny_nested", "tiny", [2, 3], [3, 2], ["kxk", "1x1_kxk", "id1x1_2x1:scale", "1x1_prior:linear"],
        input=[5, 4], inside={"kxk": online, "1x1_kxk": online}))


def check_gradients_of(case):
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


def check_online():
    """The sum of OREPA's kernels as the paper has it, tap by tap, against the branches one by one, dense
    and with several groups, channels in each on either side and an odd number of them."""
    k = 3
    for n_in, n_out, groups in [(3, 5, 1), (10, 15, 5)]:
        case = Case(f"loops_{groups}", "orepa", [n_in, n_out], [k, k], OREPA, groups=groups, mid=twice(n_in, groups))
        p, x, _ = draw(case)
        w = {b.path: [p.get(f"{part}.weight") for part in (b.first, b.conv)] + [p[b.scale]] for b in case.parts}
        n, o_per, mid = n_in // groups, n_out // groups, case.mid.get("id1x1_kxk", n_in) // groups
        whole = torch.zeros(n_out, n, k, k, dtype=torch.float64)
        for o, j, r, c in np.ndindex(*whole.shape):
            group = o // o_per
            wave = (r, o + 1) if 2 * o < n_out else (c, o + 1 - n_out / 2)
            residual = lambda t: w["id1x1_kxk"][0][group * mid + t, j, 0, 0] + (t % n == j)
            of = {
                "kxk": w["kxk"][1][o, j, r, c],
                "1x1": w["1x1"][1][o, j, 0, 0] if (r, c) == (1, 1) else 0,
                "1x1_avg": w["1x1_avg"][0][o, j, 0, 0] / k**2,
                "1x1_prior": w["1x1_prior"][0][o, j, 0, 0] * math.cos(math.pi * (wave[0] + 0.5) * wave[1] / k),
                "id1x1_kxk": sum(w["id1x1_kxk"][1][o, t, r, c] * residual(t) for t in range(mid)),
                "dw_1x1": sum(w["dw_1x1"][1][o, 8 * j + t, 0, 0] * w["dw_1x1"][0][8 * (group * n + j) + t, 0, r, c]
                              for t in range(8)),
            }
            whole[o, j, r, c] = sum(of[path] * w[path][2][o] for path in of)
        y = forward(case, p, x, True)[0]
        assert distance(F.conv2d(x, whole, padding=1, groups=groups), y) < 1e-12
        assert distance(fuse(case, p)[0], whole) < 1e-12


def check_seen(case, p, x, y):
    """No parameter is without effect: another one shows in the output."""
    for name, value in p.items():
        other = forward(case, {**p, name: 1.1 * value}, x, False)[0]
        assert distance(other, y) > 1e-4, (case.name, name)


def write(case):
    """Computes a case, checks it, writes its file; returns its entry in the index."""
    p, x, rng = draw(case)
    grad_y = lambda shape: torch.tensor(rng.standard_normal(shape)).float().double()
    exact = compute(case, p, x, grad_y)
    off = (exact["fused.y"] - exact["eval.y"]).abs().max().item()
    assert off < FUSED_TOLERANCE, (case.name, off)
    check_small_kernels(case, p, x)
    check_seen(case, p, x, exact["eval.y"])
    single = compute(case, {k: v.float() for k, v in p.items()}, x.float(), exact["grad_y"].float())
    far = {k: distance(single[k], exact[k]) for k in exact}
    assert max(far.values()) < FLOAT32_TOLERANCE, (case.name, max(far.items(), key=lambda e: e[1]))

    tensors = {f"param.{k}": v for k, v in p.items()} | {"x": x} | exact
    rounded = {k: torch.where(v.abs() < NOISE, 0, v).float().contiguous().numpy() for k, v in tensors.items()}
    file = f"field_{case.name}.safetensors"
    save_file(rounded, HERE / file)
    print(f"{file:52} {(HERE / file).stat().st_size:6} bytes, {list(x.shape)} -> {list(exact['eval.y'].shape)}, "
          f"fused off by {off:.0e}, float32 by {max(far.values()):.0e} ({max(far, key=far.get)})")
    keys = ("name", "preset", "channels", "kernel", "stride", "dilation", "groups", "padding", "norm_after", "bias",
            "branches")
    entry = {"file": file} | {k: getattr(case, k) for k in keys}
    mid = {b.path: b.mid for b in case.all_parts() if b.first}
    more = {"mid_channels": mid, "inside": case.inside, "online": case.online}
    return entry | {key: value for key, value in more.items() if value}


OREPA = ["kxk:scale", "1x1:scale", "1x1_avg:linear", "id1x1_kxk:linear", "1x1_prior:linear", "dw_1x1:linear"]
NO_1X1 = OREPA[:1] + OREPA[2:]


def depthwise(branches):
    """Nothing stands before the average there."""
    return ["1x1_avg:scale" if b == "1x1_avg:linear" else b for b in branches]


def twice(n_in, groups, path="id1x1_kxk"):
    """OREPA's channels in the middle: twice as many behind more than four groups."""
    return {path: 2 * n_in} if groups > 4 else {}


def online_cases():
    """Blocks without norms inside: OREPA's, and others in that form."""
    two = [2, 2]

    def orepa(name, channels, kernel=(3, 3), branches=OREPA, groups=1, **rest):
        mid = rest.pop("mid", twice(channels[0], groups))
        return Case("orepa" + name, "orepa", channels, list(kernel), branches, groups=groups, norm_after=True, mid=mid,
                    **rest)

    yield orepa("", [3, 5])
    yield orepa("_grouped5_stride2", [10, 15], groups=5, stride=two, input=[7, 8])
    yield orepa("_5x5_grouped2", [4, 6], [5, 5], groups=2, input=[5, 7])
    # Height and width differ in all that they can; less padding after than before.
    yield orepa("_3x5_uneven", [3, 4], [3, 5], stride=[2, 1], dilation=[1, 2], padding=[1, 4, 0, 3], input=[7, 8])
    yield orepa("_4x2_grouped2", [4, 6], [4, 2], groups=2, padding=[2, 0, 1, 1], input=[6, 5])
    yield orepa("_depthwise", [6, 6], branches=depthwise(OREPA), groups=6, input=[5, 6])
    yield orepa("_depthwise3_dilation2_stride2", [3, 3], branches=depthwise(OREPA), groups=3, stride=two, dilation=two,
                input=[9, 8])
    # Fewer pixels than channels: kernels cost more to put together than to run.
    yield orepa("_few_pixels", [12, 3], stride=two, input=[2, 3])
    yield orepa("_depthwise_twice_stride2", [5, 10], groups=5, stride=two, input=[7, 6])
    product = ["kxk:scale", "1x1_kxk:linear"]
    yield orepa("_pointwise_wider", [3, 5], [1, 1], product, mid={"1x1_kxk": 3})
    yield orepa("_pointwise_narrower_stride2", [6, 4], [1, 1], product, mid={"1x1_kxk": 4}, stride=two)
    yield orepa("_pointwise_grouped2", [4, 6], [1, 1], product, groups=2, mid={"1x1_kxk": 4})

    def vgg(name, channels, branches=("kxk", "1x1", "identity"), inside=NO_1X1, groups=1, **rest):
        mid = twice(channels[0], groups, "kxk.conv.id1x1_kxk")
        return Case("orepa_repvgg" + name, "orepa_repvgg", channels, [3, 3], list(branches), groups=groups, mid=mid,
                    inside={"kxk": inside}, **rest)

    yield vgg("", [5, 5])
    yield vgg("_stride2", [4, 5], ["kxk", "1x1"], stride=two, bias=True)
    yield vgg("_grouped5", [10, 10], groups=5, input=[5, 6])
    yield vgg("_depthwise_dilation2", [3, 3], inside=depthwise(NO_1X1), groups=3, dilation=two)
    # A 1x1 has no block inside.
    yield Case("orepa_repvgg_pointwise", "orepa_repvgg", [4, 4], [1, 1], ["kxk", "1x1", "identity"])

    dyrep = ["kxk:scale", "1x1:scale", "1x1_kxk:linear", "1x1_avg:linear", "1xk:scale", "kx1:scale", "identity:scale"]
    yield Case("dyrep_online", "dyrep", [4, 4], [3, 3], dyrep, bias=True, norm_after=True, online=True)
    yield Case("dbb_online_depthwise_stride2", "dbb", [4, 4], [3, 3], depthwise(["kxk:scale", *dyrep[1:4]]), stride=two,
               groups=4, norm_after=True, online=True, input=[9, 10], mid={"1x1_kxk": 8})
    yield Case("unireplknet_online_7", "unireplknet", [3, 3], [7, 7],
               ["kxk:scale", "5x5:scale", "3x3d2:scale", "3x3d3:scale"], groups=3, norm_after=True, online=True)
    # Without a norm anywhere: biases count, each through what ends its branch.
    linear = ["kxk:scale", "kxk.2:constant", "kxk.3:bias", "1x1:bias", "1x1_kxk:linear", "1x1_avg:linear", "1xk:none",
              "avg:scale", "id1x1_kxk:linear", "1x1_prior:linear", "dw_1x1:linear", "dw_1x1.2:linear", "3x3d2:scale",
              "id1x1_3x3:linear"]
    yield Case("linear", "mixed", [4, 4], [5, 5], [*linear, "identity:constant"], bias=True, input=[6, 7],
               inside={"1x1_kxk": ["kxk:scale", "1x1_avg:linear"]})
    yield Case("linear_grouped_stride2", "mixed", [4, 4], [5, 5], linear, stride=two, groups=2, bias=True, input=[9, 8],
               mid={"1x1_kxk": 2, "id1x1_kxk": 8, "dw_1x1.2": 4, "id1x1_3x3": 12})
    yield Case("linear_few_pixels", "mixed", [16, 6], [3, 3], ["kxk:scale", "1x1_kxk:linear", "id1x1_kxk:linear"],
               stride=two, groups=2, bias=True, input=[2, 2], mid={"id1x1_kxk": 32},
               inside={"1x1_kxk": ["kxk:scale", "1x1_prior:linear"]})
    # Norms beside linear sequences; linear blocks and others inside sequences, behind a norm and behind none.
    nested = ["kxk", "1x1_kxk", "id1x1_kxk", "1x1_avg:linear", "1x1_prior:linear", "dw_1x1:linear",
              "id1x1_kxk.2:linear", "id1x1_1x3:scale"]
    yield Case("nested", "mixed", [4, 6], [3, 3], nested, groups=2,
               mid={"id1x1_kxk": 8, "id1x1_kxk.2.conv2.id1x1_kxk": 8},
               inside={"kxk": ["kxk:scale", "1x1_kxk:linear", "kxk.2"], "1x1_kxk": NO_1X1,
                       "id1x1_kxk.2": ["kxk:scale", "kxk.2", "1x1_avg:linear", "id1x1_kxk:linear"]})


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
    yield from online_cases()


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    check_norm()
    check_gradients()
    check_published()
    check_online()
    entries = [json.dumps(write(case)) for case in cases()]
    text = '{"torch": %s, "cases": [\n%s\n]}\n' % (json.dumps(torch.__version__.split("+")[0]), ",\n".join(entries))
    (HERE / "field_blocks.json").write_text(text)
    total = sum(f.stat().st_size for f in HERE.glob("field_*"))
    print(f"{len(entries)} cases, {total} bytes")


if __name__ == "__main__":
    main()
