"""PyTorch's side of the measurements on a GPU: the same networks, steps and keys as `gpu` writes.

    python3 peer.py machine
    python3 peer.py train --models resnet18,resnet50 --branches plain,dbb,dyrep --batches 64
    python3 peer.py infer --models resnet18 --batches 1,64
    python3 peer.py kernels --models resnet18

One JSON object a line, flushed. One process measures many cases, since starting PyTorch takes seconds; a case that fails,
for memory as a rule, is told and does not end the others. `f32` computes with TF32, as PyTorch's users do on such cards;
`bf16` is a network whose parameters are bf16, as ours; `autocast` keeps them in f32.
"""

import argparse
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

CLASSES = 1000
SIDE = "pytorch"


def say(**line):
    """JSON has no number for what is not finite: that becomes null."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in line.items()}
    print(json.dumps(finite), flush=True)


def output_of(*command):
    """What a program prints; None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine(_options):
    query = "name,driver_version,memory.total,power.limit,clocks.max.sm"
    line = {
        "kind": "machine",
        "commit": os.environ.get("DYREP_COMMIT"),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "cpus": os.cpu_count(),
        "cpu": cpu_name(),
        "kernel": platform.release(),
        "gpu": output_of("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"),
        "nvcc": (output_of("nvcc", "--version") or "").splitlines()[-1:],
        "python": platform.python_version(),
    }
    try:
        import torch

        line["torch"] = torch.__version__
        line["torch_cuda"] = torch.version.cuda
        line["cudnn"] = torch.backends.cudnn.version()
        line["torch_sees"] = torch.cuda.device_count()
    except ImportError as error:
        line["torch"] = f"none: {error}"
    say(**line)


def cpu_name():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")


class Case:
    """A network on a device with its optimiser, and pictures of noise."""

    def __init__(self, model, branches, batch, dtype, layout, options):
        import networks
        import torch

        torch.manual_seed(0)
        self.torch, self.device, self.dtype = torch, torch.device(options.device), dtype
        memory_format = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}
        number = torch.bfloat16 if dtype == "bf16" else torch.float32
        build = getattr(networks, model)
        place = {"device": self.device, "dtype": number, "memory_format": memory_format[layout]}
        self.net = build(networks.PRESETS[branches]).to(**place)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
        self.x = torch.randn(batch, 3, options.size, options.size).to(**place)
        self.y = torch.randint(CLASSES, (batch,)).to(self.device)
        self.forward = torch.compile(self.net) if options.compile else self.net

    def logits(self):
        with self.torch.autocast(self.device.type, self.torch.bfloat16, self.dtype == "autocast"):
            return self.forward(self.x).float()

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(self.logits(), self.y)
        loss.backward()
        self.optimizer.step()
        return loss

    def infer(self):
        with self.torch.inference_mode():
            return self.logits()

    def seconds(self, what):
        """Of one pass, all that was asked of the device done; and what it gave."""
        self.sync()
        started = time.perf_counter()
        result = what()
        self.sync()
        return time.perf_counter() - started, result

    def sync(self):
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()


def measure(case, what, options):
    """The first pass apart, some to warm up, then those that count, until the seconds are over."""
    first, result = case.seconds(what)
    value = result.flatten()[0].item()
    for _ in range(options.warmup):
        case.seconds(what)
    times, until = [], time.perf_counter() + options.seconds
    while len(times) < options.steps and (len(times) < 3 or time.perf_counter() < until):
        took, result = case.seconds(what)
        times.append(took)
    return {
        "first_seconds": first, "median_seconds": statistics.median(times),
        "lowest_seconds": min(times), "highest_seconds": max(times), "steps": len(times),
        "value_first": value, "value_last": result.flatten()[0].item()}


def memory(torch, device):
    if device != "cuda":
        return {}
    used = output_of("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits")
    return {
        "bytes_in_use": torch.cuda.max_memory_allocated(),
        "bytes_reserved": torch.cuda.max_memory_reserved(),
        "card_bytes": int(used.splitlines()[0]) * 2**20 if used else None}


def cases(options):
    import torch

    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    lists = [options.models, options.batches, options.dtypes, options.branches, options.layouts]
    for model, batch, dtype, branches, layout in itertools.product(*(it.split(",") for it in lists)):
        mode = layout + (" compiled" if options.compile else "")
        told = {
            "side": SIDE, "mode": mode, "model": model, "branches": branches, "batch": int(batch),
            "size": options.size, "dtype": dtype, "device": options.device}
        try:
            if options.device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            yield told, Case(model, branches, int(batch), dtype, layout, options)
        except Exception as error:  # Whatever it is, the next case may work.
            say(kind="failed", step="pytorch", **told, reason=str(error).splitlines()[0][:300])


def tell(kind, told, case, options):
    """Measures a case and tells of it, or of why it failed."""
    try:
        what = case.step if kind == "train" else case.infer
        case.net.train(kind == "train")
        found = measure(case, what, options)
        say(kind=kind, **told, **found, **memory(case.torch, options.device))
    except Exception as error:  # Out of memory has many names.
        say(kind="failed", step="pytorch", **told, reason=str(error).splitlines()[0][:300])


def kernels(told, case, options):
    """Where the device's time goes in some steps, by kernel."""
    from torch.profiler import ProfilerActivity, profile

    case.net.train()
    measure(case, case.step, options)
    wanted = [ProfilerActivity.CPU]
    if options.device == "cuda":
        wanted.append(ProfilerActivity.CUDA)
    with profile(activities=wanted) as seen:
        for _ in range(3):
            case.seconds(case.step)
    on_device = options.device == "cuda"

    def micros(event):
        return event.self_device_time_total if on_device else event.self_cpu_time_total

    events = seen.key_averages()
    if on_device:  # What the CPU did has no time of the device of its own.
        events = [event for event in events if str(event.device_type).endswith("CUDA")]
    events = sorted(events, key=micros, reverse=True)
    total = sum(micros(event) for event in events)
    for event in events[:25]:
        say(kind="kernel", **told, name=event.key[:120], launches=event.count / 3,
            seconds=1e-6 * micros(event) / 3, share=micros(event) / max(total, 1e-9))


def main():
    parser = argparse.ArgumentParser(description="Measures PyTorch; see the head of this file.")
    parser.add_argument("what", choices=["machine", "train", "infer", "kernels"])
    parser.add_argument("--models", default="resnet18")
    parser.add_argument("--branches", default="plain")
    parser.add_argument("--batches", default="64")
    parser.add_argument("--dtypes", default="f32", help="f32, bf16, autocast")
    parser.add_argument("--layouts", default="nchw,channels_last")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    if options.what == "machine":
        machine(options)
        return
    for told, case in cases(options):
        if options.what == "kernels":
            kernels(told, case, options)
        else:
            tell(options.what, told, case, options)
        # The next one has the memory to itself.
        del case


if __name__ == "__main__":
    main()
