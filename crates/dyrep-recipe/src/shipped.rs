//! The recipes that are part of the program.

/// Names and texts, in the order of their names.
pub(super) const ALL: &[(&str, &str)] = &[
    ("cifar_vgg16", include_str!("../../../recipes/cifar_vgg16.toml")),
    ("digits_quick", include_str!("../../../recipes/digits_quick.toml")),
    ("imagenet_mobilenet_v1", include_str!("../../../recipes/imagenet_mobilenet_v1.toml")),
    ("imagenet_repnas_a0", include_str!("../../../recipes/imagenet_repnas_a0.toml")),
    ("imagenet_repvgg_a2", include_str!("../../../recipes/imagenet_repvgg_a2.toml")),
    ("imagenet_repvgg_b2g4", include_str!("../../../recipes/imagenet_repvgg_b2g4.toml")),
    ("imagenet_repvgg_b3", include_str!("../../../recipes/imagenet_repvgg_b3.toml")),
    ("imagenet_resnet18", include_str!("../../../recipes/imagenet_resnet18.toml")),
    ("imagenet_resnet18_orepa", include_str!("../../../recipes/imagenet_resnet18_orepa.toml")),
];

/// The names of [`ALL`].
pub(super) const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = ALL[i].0;
        i += 1;
    }
    names
};
