"""Makes the seeds: the small pictures of dyrep-data's tests one by one, an archive of some, tables.
Run in this folder: python3 seeds.py"""

import io
import pathlib
import struct
import tarfile

GOLDEN = pathlib.Path("../../crates/dyrep-data/tests/golden")
SEEDS = pathlib.Path("seeds")


def write(target, name, data):
    (SEEDS / target).mkdir(parents=True, exist_ok=True)
    (SEEDS / target / name).write_bytes(data)


def main():
    data = (GOLDEN / "kinds.bin").read_bytes()
    files = []
    for line in (GOLDEN / "kinds.csv").read_text().splitlines():
        kind, variant, _, _, offset, length = line.split(";")
        name = f"{kind}_{variant}".replace(" ", "_").replace(",", "")
        files.append((name, data[int(offset):int(offset) + int(length)]))
        write("pictures", *files[-1])
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, (_, file) in enumerate(files[:4]):
            entry = tarfile.TarInfo(f"{'ab'[number % 2]}/{number}.png")
            entry.size = len(file)
            tar.addfile(entry, io.BytesIO(file))
    write("archive", "two_classes.tar", archive.getvalue()[:8192])
    labels = struct.pack(">II3B", 0x801, 3, 0, 1, 9)
    pictures = struct.pack(">IIII", 0x803, 3, 2, 2) + bytes(12)
    write("tables", "idx", bytes([0]) + struct.pack("<H", len(labels)) + labels + pictures)
    synsets = b"n01440764 tench\nn01443537 goldfish\n"
    for name, truth in {"ids": b"n01440764\nn01443537\n", "numbers": b"1\n2\n",
                        "kaggle": b"ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4\n"}.items():
        write("tables", name, bytes([1]) + struct.pack("<H", len(synsets)) + synsets + truth)


main()
