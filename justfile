# Common tasks; `just` lists them.

_default:
    @just --list

# The main job on the shipped digits.
demo *args:
    cargo run --release --example resnet18_imagenet -- {{args}}

# All tests.
test:
    cargo test

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
