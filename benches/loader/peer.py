"""The torchvision side of the loader's benchmark: epochs over a folder in ImageNet's layout.

Reads one JSON object a line and answers with one: {"folder", "mode", "workers", "batch", "size"}
builds a loader, {"do": "epoch"} times one pass over all images, {"do": "peak"} says the peak
resident memory of this process and its workers, added up. With --folder it is
run by hand instead and answers for each of --passes epochs:

    python3 peer.py --folder train --mode native --workers 2 --passes 3

Every mode decodes, cuts a random box, resizes it to size × size bilinearly with antialiasing, and
flips half of the pictures:

    pil        ImageFolder with Pillow's loader, torchvision's transforms; normalised float32
    native     torchvision.io.decode_jpeg and transforms.v2 on tensors; normalised float32
    native-u8  the same without the normalisation; bytes
    pillow     Pillow and numpy without torch; normalised float32

Workers are processes that live on between epochs, each with one thread; 0 workers means that all is
done by this process, with one thread. Whatever happens once, starting them included, happens before
an epoch is timed: the first pass after building is a warm-up and should not be counted.
"""

import argparse
import json
import math
import multiprocessing
import os
import queue
import random
import sys
import time
from multiprocessing import shared_memory
from pathlib import Path

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EXTENSIONS = {".jpeg", ".jpg", ".png"}
MODES = ("pil", "native", "native-u8", "pillow")


class TorchLoader:
    """torchvision's data set behind PyTorch's DataLoader."""

    def __init__(self, folder, mode, workers, batch, size):
        import torch
        import torchvision
        from torchvision import datasets, io, transforms
        from torchvision.transforms import v2

        def one_thread(_worker=0):
            torch.set_num_threads(1)

        def decode(path):
            return io.decode_jpeg(io.read_file(path), mode=io.ImageReadMode.RGB)

        one_thread()
        if mode == "pil":
            loader = datasets.folder.pil_loader
            steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(),
                     transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        else:
            loader = decode
            steps = [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
            if mode == "native":
                steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
        data = datasets.ImageFolder(folder, transforms.Compose(steps), loader=loader)
        self.loader = torch.utils.data.DataLoader(
            data, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0,
            worker_init_fn=one_thread)
        self.versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}

    def epoch(self):
        return sum(len(labels) for _, labels in self.loader)


class PillowLoader:
    """Pillow and numpy. Each worker fills a whole batch in memory that it shares with this process."""

    SLOTS_A_WORKER = 2  # as many batches as DataLoader prefetches

    def __init__(self, folder, mode, workers, batch, size):
        import numpy
        import PIL

        del mode
        self.files = sorted(
            str(file) for file in Path(folder).rglob("*") if file.suffix.lower() in EXTENSIONS)
        self.batch, self.size = batch, size
        self.versions = {"pillow": PIL.__version__, "numpy": numpy.__version__}
        bytes_of_batch = batch * 3 * size * size * 4
        slots = max(1, workers) * self.SLOTS_A_WORKER
        self.slots = [shared_memory.SharedMemory(create=True, size=bytes_of_batch)
                      for _ in range(slots)]
        self.workers, self.tasks, self.done = [], multiprocessing.Queue(), multiprocessing.Queue()
        for _ in range(workers):
            names = [slot.name for slot in self.slots]
            worker = multiprocessing.Process(
                target=work, args=(self.tasks, self.done, names, batch, size), daemon=True)
            worker.start()
            self.workers.append(worker)

    def epoch(self):
        order = random.sample(self.files, len(self.files))
        batches = [order[start:start + self.batch] for start in range(0, len(order), self.batch)]
        if not self.workers:
            for files in batches:
                fill(view(self.slots[0], self.batch, self.size), files, self.size)
            return len(order)
        free, waiting, images = list(range(len(self.slots))), iter(batches), 0
        for _ in batches:
            while free and (files := next(waiting, None)):
                self.tasks.put((free.pop(), files))
            slot, count = self.done.get()
            images += count
            free.append(slot)
        return images

    def __del__(self):
        for slot in self.slots:
            slot.close()
            slot.unlink()


def view(memory, batch, size):
    import numpy

    return numpy.ndarray((batch, 3, size, size), numpy.float32, memory.buf)


def work(tasks, done, names, batch, size):
    """A worker: fills the slot that it is told to, until its parent is gone."""
    parent = os.getppid()
    random.seed()
    slots = [shared_memory.SharedMemory(name) for name in names]
    while os.getppid() == parent:
        try:
            slot, files = tasks.get(timeout=2)
        except queue.Empty:
            continue
        fill(view(slots[slot], batch, size), files, size)
        done.put((slot, len(files)))


def fill(pixels, files, size):
    """Decodes, crops, resizes, flips and normalises into a batch."""
    import numpy
    from PIL import Image

    mean = numpy.array(MEAN, numpy.float32)[:, None, None] * 255
    std = numpy.array(STD, numpy.float32)[:, None, None] * 255
    for target, file in zip(pixels, files):
        with open(file, "rb") as opened:
            image = Image.open(opened)
            image.load()
        if image.mode != "RGB":
            image = image.convert("RGB")
        left, top, width, height = box(*image.size)
        image = image.crop((left, top, left + width, top + height))
        image = image.resize((size, size), Image.Resampling.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        numpy.subtract(numpy.asarray(image).transpose(2, 0, 1), mean, out=target)
        target /= std


def box(width, height):
    """The box of RandomResizedCrop with torchvision's defaults."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    # None has fitted: the largest central one of a permitted aspect.
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (width - w) // 2, (height - h) // 2, w, h


def build(folder, mode, workers, batch=64, size=224):
    kind = PillowLoader if mode == "pillow" else TorchLoader
    return kind(folder, mode, workers, batch, size)


def epoch(loader):
    started = time.perf_counter()
    images = loader.epoch()
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "images": images, "images_per_second": images / seconds}


def peak():
    """Of this process and its workers; what they share is counted in each."""

    def highest(process):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

    workers = [worker.pid for worker in multiprocessing.active_children()]
    return {"bytes": sum(map(highest, ["self", *workers]))}


def answer_lines():
    loader = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("do") == "epoch":
            answer = epoch(loader)
        elif asked.get("do") == "peak":
            answer = peak()
        else:
            # The old one first, so that its workers do not run beside the new ones.
            loader = None
            loader = build(**asked)
            answer = loader.versions
        print(json.dumps(answer), flush=True)


def main():
    options = argparse.ArgumentParser(description="Times epochs; see the head of this file.")
    options.add_argument("--folder", help="run by hand on this folder")
    options.add_argument("--mode", choices=MODES, default="pil")
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--batch", type=int, default=64)
    options.add_argument("--size", type=int, default=224)
    options.add_argument("--passes", type=int, default=3)
    asked = vars(options.parse_args())
    passes, folder = asked.pop("passes"), asked["folder"]
    if folder is None:
        answer_lines()
        return
    loader = build(**asked)
    print(json.dumps({**loader.versions, "mode": asked["mode"]}), flush=True)
    for _ in range(passes):
        print(json.dumps(epoch(loader)), flush=True)


if __name__ == "__main__":
    main()
