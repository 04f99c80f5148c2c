//! Names of the published RepNAS code as ours.

use super::layer;
use crate::naming::tests::check;
use crate::naming::{Naming, dialects};

#[test]
fn published_names_become_ours() {
    check(
        Naming::RepNas,
        &[
            ("features.0._ops.2.conv.weight", "stem.conv._ops.2.conv.weight"),
            ("features.1._ops.1.conv1.bn.bn.bias", "stages.0.0.conv._ops.1.conv1.bn.bn.bias"),
            ("features.20.skip_connect.bn.weight", "stages.2.13.conv.identity.bn.weight"),
            ("features.21.conv.conv.weight", "stages.3.0.conv._dead.conv.weight"),
            ("features.21.conv.bn.running_mean", "stages.3.0.conv._dead.bn.running_mean"),
            ("features.21.conv.bias", "stages.3.0.conv.bias"),
            ("linear.weight", "head.fc.weight"),
            ("alphas", "alphas"),
        ],
    );
}

#[test]
fn layers_are_counted_through_the_stages() {
    let places = [0, 1, 2, 3, 6, 7, 20, 21].map(|number| layer(number).unwrap());
    let wanted = [
        "stem",
        "stages.0.0",
        "stages.0.1",
        "stages.1.0",
        "stages.1.3",
        "stages.2.0",
        "stages.2.13",
        "stages.3.0",
    ];
    assert_eq!(places, wanted.map(|place| format!("{place}.conv")));
    assert_eq!(layer(22), None);
}

/// MobileNetV2's layers are called so, too.
#[test]
fn no_other_published_dialect_is_tried() {
    let names = "features.0.conv.weight features.18.conv.bias features.21.conv.bias linear.bias";
    let parts = || names.split([' ', '.']);
    let found = dialects(&parts().collect());
    assert_eq!(found[0].naming, Naming::RepNas);
    assert!(found.iter().all(|known| known.naming != Naming::MobileNetV2));
    let others = dialects(&parts().filter(|part| *part != "linear").collect());
    assert_eq!(others[0].naming, Naming::MobileNetV2);
    // A network of more layers is another one.
    assert!(
        dialects(&parts().chain(["22"]).collect())
            .iter()
            .all(|known| known.naming != Naming::RepNas)
    );
}
