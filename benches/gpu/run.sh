#!/usr/bin/env bash
# Measures on the machine with the GPU, in eight minutes at most: what `build.sh` packed in, results out.
#
#   run.sh BUILT_FOLDER RESULTS_FOLDER
#
# Steps stand in the order of their worth. Each result is a line of results.jsonl as soon as it is known; a step that fails
# or takes too long ends alone, and its last words are a line too. Needs nothing but the driver and NVRTC (with CUDA's
# headers) for `cuda`; Python with PyTorch only for the comparison.
#
#   DYREP_GPU_DEVICE=vulkan   the backend; else the first that opens of cuda, vulkan, wgpu, flex
#   DYREP_GPU_QUICK=1         everything small: a rehearsal, on any device
#   DYREP_GPU_TOTAL=480       seconds in all
#   DYREP_GPU_PATIENCE=1      times that: every limit, for a device that is slow
#   DYREP_GPU_ONLY='train|infer'   only steps whose names match
#   DYREP_PYTHON=python3      the Python that has PyTorch
set -euo pipefail
built=$(cd "${1:?usage: run.sh BUILT_FOLDER RESULTS_FOLDER}" && pwd)
mkdir -p "${2:?usage: run.sh BUILT_FOLDER RESULTS_FOLDER}"
out=$(cd "$2" && pwd)
python=${DYREP_PYTHON:-python3}
patience=${DYREP_GPU_PATIENCE:-1}
total=$((${DYREP_GPU_TOTAL:-480} * patience))
only=${DYREP_GPU_ONLY:-.}
quick=${DYREP_GPU_QUICK:-}
results=$out/results.jsonl
log=$out/log.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
: >>"$results"
SECONDS=0

xz -dc "$built/gpu.xz" >"$work/gpu"
chmod +x "$work/gpu"
DYREP_COMMIT=$(cat "$built/commit")
export DYREP_COMMIT
cd "$work"

# NVRTC and its headers: CUDA's own, else those that come with PyTorch.
export CUDA_PATH=${CUDA_PATH:-/usr/local/cuda}
wheels=$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true)
libraries=$CUDA_PATH/lib64
if [[ -n $wheels ]]; then
    libraries=$libraries:$(find "$wheels" -name 'libnvrtc.so*' -printf '%h:' 2>/dev/null || true)
    if [[ ! -e $CUDA_PATH/include/cuda.h ]]; then
        header=$(find "$wheels" -name cuda_runtime.h -print -quit 2>/dev/null || true)
        [[ -z $header ]] || CUDA_PATH=$(dirname "$(dirname "$header")")
    fi
fi
export LD_LIBRARY_PATH=$libraries:${LD_LIBRARY_PATH:-}

# Every choice of autotune with its candidates; compiled kernels and choices are kept for the next process.
cat >cubecl.toml <<TOML
[autotune.decisions]
file = "$out/decisions.jsonl"
[compilation]
cache = true
[environment]
path = { directory = "$work/environment" }
TOML

# What an earlier run on such a machine compiled and chose, if it was put beside the program: then no first step is cold.
if [[ -e $built/environment.tar.xz ]]; then
    tar -C "$work" -xJf "$built/environment.tar.xz"
    "$work/gpu" note --kind changed --step 'starts with kernels and choices of an earlier run' >>"$results"
fi

# Runs a step: `step NAME SECONDS UNTIL COMMAND…`. It gets so many seconds at most and ends at the second UNTIL of the
# whole run; what it prints are results.
step() {
    local name=$1 box=$(($2 * patience)) until=$(($3 * patience))
    shift 3
    last=0
    [[ $name =~ $only ]] || return 0
    local left=$(((until < total ? until : total) - SECONDS))
    if ((left < 5)); then
        note --kind skipped --step "$name"
        return 0
    fi
    local limit=$((box < left ? box : left)) code=0 started=$SECONDS
    echo "== $name (at $started s, $limit s at most): $*" >>"$log"
    timeout -k 3 "$limit" "$@" >>"$results" 2>"$work/stderr" || code=$?
    cat "$work/stderr" >>"$log"
    local took=$((SECONDS - started))
    last=$code
    if ((code == 0)); then
        note --kind done --step "$name" --seconds "$took"
    else
        note --kind failed --step "$name" --code "$code" --seconds "$took" --stderr "$work/stderr"
    fi
    echo "$name: $([[ $code == 0 ]] && echo done || echo "exit code $code") after $took s"
}
note() { "$work/gpu" note "$@" >>"$results" 2>>"$log" || echo "note $*" >>"$log"; }
ours() { # NAME SECONDS UNTIL COMMAND [ARGS]
    local name=$1 box=$2 until=$3 command=$4
    shift 4
    step "$name" "$box" "$until" "$work/gpu" "$command" --device "$device" "$@"
}
theirs() { # NAME SECONDS UNTIL COMMAND [ARGS]
    local name=$1 box=$2 until=$3
    shift 3
    step "$name" "$box" "$until" "$python" "$built/peer.py" "$@" --device "$peer_device" --size "$size"
}

# 1. The machine, and which backend there is.
step 'machine' 60 "$total" "$python" "$built/peer.py" machine
step 'machine devices' 60 "$total" "$work/gpu" devices
opens() { timeout $((60 * patience)) "$work/gpu" devices 2>>"$log" | grep "\"device\":\"$1\"" | grep -q '"opens":true'; }
device=${DYREP_GPU_DEVICE:-}
for name in cuda vulkan wgpu flex; do
    [[ -n $device ]] || ! opens "$name" || device=$name
done
peer_device=cpu
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then peer_device=cuda; fi
echo "device: ${device:=flex}, PyTorch on $peer_device"

size=224 batch=64 large=256 cases=200 laws=$((45 * patience)) images=4096
digits=() small=() pace=() peer_pace=() infer=(1 64)
if [[ -n $quick ]]; then
    size=32 batch=2 large=4 cases=3 images=4 small=(--width 8)
    digits=(--epochs 1 --width 4) pace=(--warmup 1 --steps 3 --seconds 1) peer_pace=(--warmup 1 --steps 3 --seconds 1)
    infer=(1 2)
fi
train() { # NAME SECONDS UNTIL MODEL BRANCHES BATCH NUMBERS [MORE]
    local name=$1 box=$2 until=$3 model=$4 branches=$5 batch=$6 numbers=$7
    shift 7
    ours "train $name" "$box" "$until" train --model "$model" --branches "$branches" --batch "$batch" --dtype "$numbers" \
        --size "$size" "${small[@]}" "${pace[@]}" "$@"
}
peer_train() { # NAME SECONDS UNTIL MODEL BRANCHES BATCH NUMBERS [MORE]
    local name=$1 box=$2 until=$3 model=$4 branches=$5 batch=$6 numbers=$7
    shift 7
    theirs "train pytorch $name" "$box" "$until" train --models "$model" --branches "$branches" --batches "$batch" \
        --dtypes "$numbers" "${peer_pace[@]}" "$@"
}

# 2. Laws and gradients. 3. The digits; on the CPU beside the laws, which are not timed.
if [[ $device != flex && 'digits flex' =~ $only ]]; then
    (timeout $((120 * patience)) "$work/gpu" digits --device flex "${digits[@]}" --out "$work/digits_flex" \
        >"$work/digits_flex.jsonl" 2>>"$log") &
    flex=$!
fi
ours 'laws' 75 120 laws --cases "$cases" --seconds "$laws"
ours 'digits' 75 190 digits "${digits[@]}" --out "$work/digits"
if [[ -n ${flex:-} ]]; then
    code=0
    wait "$flex" || code=$?
    cat "$work/digits_flex.jsonl" >>"$results"
    ((code == 0)) || note --kind failed --step 'digits flex' --code "$code"
fi

# 4. Training steps.
until=350
train 'resnet18 plain' 100 $until resnet18 plain $batch f32
if ((last == 124 || last == 137)); then
    # Trying every kernel took too long; what has been tried is kept, the rest is chosen with less effort.
    export CUBECL_AUTOTUNE_LEVEL=minimal
    note --kind changed --step 'autotune at its lowest level from here on'
    train 'resnet18 plain again' 60 $until resnet18 plain $batch f32
fi
peer_train 'resnet18' 40 $until resnet18 plain,dbb,dyrep $batch f32
train 'resnet18 dyrep' 45 $until resnet18 dyrep $batch f32
train 'resnet18 dyrep merged' 40 $until resnet18 dyrep $batch f32 --merged
train 'resnet50 plain' 80 $until resnet50 plain $batch f32
peer_train 'resnet50' 40 $until resnet50 plain,dbb,dyrep $batch f32
train 'resnet18 dbb' 40 $until resnet18 dbb $batch f32
train 'resnet18 dbb merged' 30 $until resnet18 dbb $batch f32 --merged
train 'resnet50 dyrep' 45 $until resnet50 dyrep $batch f32
train 'resnet50 dbb' 40 $until resnet50 dbb $batch f32
train 'resnet18 plain bf16' 40 $until resnet18 plain $batch bf16
train 'resnet50 plain bf16' 45 $until resnet50 plain $batch bf16
peer_train 'bf16' 40 $until resnet18,resnet50 plain $batch bf16,autocast
train 'resnet18 dyrep bf16' 40 $until resnet18 dyrep $batch bf16
train 'resnet50 plain large' 40 $until resnet50 plain $large f32
peer_train 'resnet50 large' 30 $until resnet50 plain $large f32
train 'resnet50 plain large bf16' 40 $until resnet50 plain $large bf16
peer_train 'resnet50 large bf16' 30 $until resnet50 plain $large bf16,autocast

# 5. MobileNetV1.
until=390
train 'mobilenet_v1 plain' 30 $until mobilenet_v1 plain $batch f32
train 'mobilenet_v1 dyrep' 30 $until mobilenet_v1 dyrep $batch f32
peer_train 'mobilenet_v1' 25 $until mobilenet_v1 plain,dyrep $batch f32

# 6. Where time goes. What autotune chose is read at the end, when all of it is there.
until=420
if [[ $device != flex ]]; then
    ours 'kernels resnet18 plain' 20 $until kernels --model resnet18 --batch $batch --size $size "${small[@]}" --warmup 1
    ours 'kernels resnet18 dyrep' 20 $until kernels --model resnet18 --branches dyrep --batch $batch --size $size \
        "${small[@]}" --warmup 1
fi
theirs 'kernels pytorch' 25 $until kernels --models resnet18 --batches $batch --layouts nchw "${peer_pace[@]}"

# 7. From JPEG to step; inference; what PyTorch's compiler makes of it.
until=450
ours 'pictures' 30 $until pictures --model resnet18 --batch $batch --size $size --images $images \
    "${small[@]}" --folder "$work/pictures"
until=470
for count in "${infer[@]}"; do
    ours "infer resnet50 $count" 20 $until infer --model resnet50 --batch "$count" --size $size "${small[@]}" "${pace[@]}"
done
theirs 'infer pytorch' 20 $until infer --models resnet50 --batches "$(IFS=,; echo "${infer[*]}")" "${peer_pace[@]}"
peer_train 'compiled' 60 "$total" resnet50 plain $batch f32 --layouts channels_last --compile

if [[ -s $out/decisions.jsonl ]]; then
    "$work/gpu" decisions "$out/decisions.jsonl" >>"$results" 2>>"$log" || true
    # All candidates of all choices: long, and well compressible.
    xz -f "$out/decisions.jsonl"
fi
if [[ -d environment ]]; then
    tar -cJf "$out/environment.tar.xz" environment || rm -f "$out/environment.tar.xz"
fi
"$work/gpu" table "$out" >"$out/tables.md" 2>>"$log" || true
echo "took $SECONDS s; $(grep -c . "$results") lines in $results"
