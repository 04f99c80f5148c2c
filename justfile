# Common tasks; `just` lists them.

_default:
    @just --list

# The main job on the shipped digits.
demo *args:
    cargo run --release --example resnet18_imagenet -- {{args}}

# All tests.
test:
    cargo test

# Strategies under one recipe, on a hard split of the digits: the tables of docs/results.md.
study *args:
    cargo bench --bench study -- {{args}}

# Convolutions beside Burn's, then training beside PyTorch's (DYREP_PYTHON names its Python).
bench *args:
    cargo bench --bench convolution
    cargo bench --bench block
    cargo bench --bench vs_pytorch -- {{args}}

# Packs into a folder what measures a machine with a GPU: docs/gpu.md.
gpu folder:
    benches/gpu/build.sh {{folder}}

# The kernels under the address sanitizer.
sanitize:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p dyrep-kernels --target x86_64-unknown-linux-gnu --target-dir target/sanitize

# Fuzzes `structure`, `weights` or `record` for so many minutes; needs cargo-fuzz. See fuzz/README.md.
fuzz target minutes="10":
    mkdir -p fuzz/corpus/{{target}}
    cp -n Cargo.lock fuzz/
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{target}} fuzz/corpus/{{target}} fuzz/seeds/{{target}} {{ if target == "weights" { "crates/dyrep-weights/tests/golden" } else if target == "structure" { "recipes" } else { "" } }} -- -max_total_time=$(({{minutes}} * 60)) -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=64 -max_len=131072

# Fuzzes `pictures`, `archive`, `tables` or `pickle` likewise.
fuzz-data target minutes="10":
    mkdir -p fuzz/data/corpus/{{target}}
    cp -n Cargo.lock fuzz/data/
    cd fuzz/data && RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . {{target}} corpus/{{target}} seeds/{{target}} -- -max_total_time=$(({{minutes}} * 60)) -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=256 -max_len=131072

# What has to hold before a change lands.
ci:
    bash .ci/run

# Format, and apply what clippy can fix by itself.
fix:
    cargo fmt --all
    cargo clippy --workspace --all-targets --fix --allow-dirty

# Licences and advisories of dependencies; unused dependencies.
audit:
    cargo deny check
    cargo machete
