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

# The kernels under the address sanitizer.
sanitize:
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address cargo test -p dyrep-kernels --target x86_64-unknown-linux-gnu --target-dir target/sanitize

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
