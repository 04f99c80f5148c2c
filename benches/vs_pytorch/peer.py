"""The PyTorch side of `cargo bench --bench vs_pytorch`: the same networks in plain PyTorch.

Reads one JSON object a line and answers with one: {"model", "branches", "batch", "size"} builds a case,
{"do": "step"} times a training step, {"do": "infer"} a forward pass, {"do": "peak"} says the peak resident
memory. Two threads, float32, the CPU.
"""

import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from networks import PRESETS, Layer, mobilenet_v1, resnet18

torch.set_num_threads(2)


class Case:
    def __init__(self, model, branches, batch, size):
        torch.manual_seed(0)
        build = {
            "resnet18": resnet18, "mobilenet_v1": mobilenet_v1,
            "depthwise_13x13": lambda branches: Layer(13, 128, branches)}[model]
        self.net = build(PRESETS[branches])
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), 0.01, momentum=0.9, nesterov=True, weight_decay=1e-4)
        self.x = torch.randn(batch, 128 if model == "depthwise_13x13" else 3, size, size)
        self.y = torch.randint(1000, (batch,))

    def step(self):
        self.net.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(self.net(self.x), self.y)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def infer(self):
        self.net.eval()
        with torch.inference_mode():
            return self.net(self.x)[0, 0].item()


def main():
    case = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("do") == "peak":
            answer = {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        elif "do" in asked:
            started = time.perf_counter()
            {"step": case.step, "infer": case.infer}[asked["do"]]()
            answer = {"seconds": time.perf_counter() - started}
        else:
            case = Case(**asked)
            answer = {"torch": torch.__version__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
