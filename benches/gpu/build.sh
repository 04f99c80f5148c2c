#!/usr/bin/env bash
# Builds the program of `benches/gpu` on a machine without a GPU and packs what has to travel to one that has one.
#
#   benches/gpu/build.sh OUT_FOLDER
#   FEATURES=flex,wgpu PROFILE=dev benches/gpu/build.sh OUT_FOLDER     # no CUDA, quickly compiled: a rehearsal
#
# Needs Rust, a C compiler, binutils and xz.
#
# FEATURES are those of the package `dyrep-benches`, PROFILE is Cargo's. With `cuda-cpp` among the features kernels are
# compiled by NVRTC on the machine with the GPU; nothing of CUDA is needed here. CubeCL links an LLVM compiler too, which
# is then never called. Its bundle is left out: its symbols are filled with stubs that end the program if one is called
# after all, which also names it. That is for measuring; programs that are shipped have the bundle.
#
# OUT_FOLDER gets gpu.xz, run.sh, peer.py, networks.py and commit; copy the folder, run `run.sh` in it.
set -euo pipefail
out=${1:?usage: build.sh OUT_FOLDER}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
features=${FEATURES:-cuda-cpp,vulkan,flex}
profile=${PROFILE:-release}
limit=$((64 * 1024 * 1024))

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
DYREP_COMMIT=$(git rev-parse --short HEAD)$(git diff --quiet HEAD -- || echo '-changed')
export DYREP_COMMIT

# Links the program with the arguments given to the linker and prints where it is.
link() {
    cargo rustc --locked --profile "$profile" -p dyrep-benches --bench gpu --no-default-features \
        --features "$features" --message-format=json -- "$@" |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}

# An object file in which every symbol of a list is a function that complains and aborts.
stubs() {
    {
        printf '#include <stdio.h>\n#include <stdlib.h>\n'
        while read -r symbol; do
            printf 'void %s(void) { fprintf(stderr, "LLVM is not linked: %s\\n"); abort(); }\n' "$symbol" "$symbol"
        done <"$1"
    } >"$2.c"
    cc -O1 -c "$2.c" -o "$2"
}

if [[ ,$features, == *,cuda-cpp,* ]]; then
    # LLVM's build script then looks for no bundle.
    export DOCS_RS=1
    : >"$work/known"
    # The first round links nothing for LLVM and shows what is missing, the second fills it in, the third finds no more.
    for round in 1 2 3 4; do
        stubs "$work/known" "$work/stubs-$round.o"
        program=$(link -C link-arg=-Wl,--unresolved-symbols=ignore-all -C link-arg="$work/stubs-$round.o")
        nm -u "$program" | awk '{ print $2 }' | grep -E '^(LLVM|llvm|cubecl_)' | grep -v @ |
            sort -u - "$work/known" >"$work/next" || cp "$work/known" "$work/next"
        cmp -s "$work/known" "$work/next" && break
        mv "$work/next" "$work/known"
        [[ $round -lt 4 ]] || { echo 'error: symbols are missing still' >&2; exit 1; }
    done
    echo "$(wc -l <"$work/known") symbols of LLVM are stubs"
else
    program=$(link)
fi

strip -o "$work/gpu" "$program"
xz -6 -T0 -c "$work/gpu" >"$out/gpu.xz"
cp "$here/run.sh" "$here/peer.py" "$here/../networks.py" "$out/"
echo "$DYREP_COMMIT" >"$out/commit"
size=$(du -sb "$out" | cut -f1)
echo "$out: $(stat -c %s "$work/gpu") bytes of program, $size bytes to carry, features $features, profile $profile"
[[ $size -lt $limit ]] || { echo 'error: that is more than 64 MiB' >&2; exit 1; }
