//! Measurements: each is a program of its own, `cargo bench --bench NAME`.
