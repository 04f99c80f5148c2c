//! Names as the published code writes them, and as this library does.

use super::*;

/// The naming found first, and each name as ours.
pub(super) fn check(naming: Naming, names: &[(&str, &str)]) {
    let parts: Parts<'_> = names.iter().flat_map(|(theirs, _)| theirs.split('.')).collect();
    let dialect = dialects(&parts)[0];
    assert_eq!(dialect.naming, naming);
    for (theirs, ours) in names {
        let parts: Vec<&str> = theirs.split('.').collect();
        assert_eq!(dialect.translate(&parts).name, *ours, "{theirs}");
    }
}

#[test]
fn published_names_become_ours() {
    check(Naming::Plain, &[("layer1.0.conv1.weight", "layer1.0.conv1.weight")]);
    check(Naming::Own, &[("conv1.kxk.conv.weight", "conv1.kxk.conv.weight")]);
    check(
        Naming::DyRep,
        &[
            ("conv1.dbb_kxk.conv.weight", "conv1.kxk.conv.weight"),
            ("conv1.dbb_1x1_kxk.bn1.bn.weight", "conv1.1x1_kxk.bn1.weight"),
            ("conv1.dbb_1x1_kxk.conv2.weight", "conv1.1x1_kxk.conv2.weight"),
            ("conv1.dbb_1x1_avg.bn.bn.bias", "conv1.1x1_avg.bn.bias"),
            ("conv1.dbb_1x1_avg.avgbn.bias", "conv1.1x1_avg.avgbn.bias"),
            ("conv1.dbb_1xk.bn.running_var", "conv1.1xk.bn.running_var"),
            ("conv1.dbb_id.running_mean", "conv1.identity.bn.running_mean"),
            ("conv1.dbb_kxk.conv.dbb_kx1.bn.bias", "conv1.kxk.conv.kx1.bn.bias"),
            ("conv2.dbb_reparam.bias", "conv2.bias"),
            ("bn.bn.weight", "bn.bn.weight"),
        ],
    );
    check(
        Naming::Dbb,
        &[
            ("conv1.dbb_origin.bn.weight", "conv1.kxk.bn.weight"),
            ("conv1.dbb_avg.conv.weight", "conv1.1x1_avg.conv.weight"),
            ("conv1.dbb_avg.bn.bn.weight", "conv1.1x1_avg.bn.weight"),
            ("conv1.dbb_1x1_kxk.idconv1.weight", "conv1.1x1_kxk.conv1.weight"),
            ("conv1.dbb_1x1.conv.weight", "conv1.1x1.conv.weight"),
        ],
    );
    check(
        Naming::Dbb,
        &[
            ("stage0.conv1.conv.weight", "conv1.weight"),
            ("stage0.conv1.bn.running_var", "bn1.running_var"),
            ("stage1.1.conv2.dbb_origin.conv.weight", "layer1.1.conv2.kxk.conv.weight"),
            ("stage1.1.conv2.dbb_avg.bn.bn.bias", "layer1.1.conv2.1x1_avg.bn.bias"),
            ("stage3.0.conv3.conv.bias", "layer3.0.conv3.bias"),
            ("stage3.0.conv2.dbb_reparam.bias", "layer3.0.conv2.bias"),
            ("stage3.0.shortcut.conv.weight", "layer3.0.downsample.0.weight"),
            ("stage3.0.shortcut.bn.bias", "layer3.0.downsample.1.bias"),
            ("stage4.0.conv1.conv.weight", "layer4.0.conv1.weight"),
            ("linear.weight", "fc.weight"),
            ("stage1.0.conv1.bn.weight", "layer1.0.bn1.weight"),
        ],
    );
    check(
        Naming::Dbb,
        &[
            ("conv1.conv.weight", "conv_stem.weight"),
            ("conv1.bn.weight", "bn1.weight"),
            ("stem.0.depthwise.dbb_origin.bn.weight", "blocks.0.0.conv_dw.kxk.bn.weight"),
            ("stem.12.pointwise.conv.weight", "blocks.4.1.conv_pw.weight"),
            ("stem.12.pointwise.bn.weight", "blocks.4.1.bn2.weight"),
            ("linear.bias", "classifier.bias"),
        ],
    );
    check(
        Naming::RepVgg,
        &[
            ("stage0.rbr_dense.conv.weight", "stem.conv.kxk.conv.weight"),
            ("stage1.0.rbr_1x1.bn.bias", "stages.0.0.conv.1x1.bn.bias"),
            ("stage2.3.rbr_1x1.bn.bias", "stages.1.3.conv.1x1.bn.bias"),
            ("stage2.3.rbr_identity.weight", "stages.1.3.conv.identity.bn.weight"),
            ("stage4.0.rbr_reparam.bias", "stages.3.0.conv.bias"),
            ("linear.weight", "head.fc.weight"),
        ],
    );
    // A block of RepVGG's in somebody's own network.
    check(Naming::RepVgg, &[("a.rbr_1x1.bn.bias", "a.1x1.bn.bias"), ("linear.b", "linear.b")]);
    check(
        Naming::OpenMmLab,
        &[
            ("stem.branch_3x3.conv.weight", "stem.conv.kxk.conv.weight"),
            ("stage_1.0.branch_3x3.norm.bias", "stages.0.0.conv.kxk.bn.bias"),
            ("stage_4.0.branch_1x1.norm.running_var", "stages.3.0.conv.1x1.bn.running_var"),
            ("stage_2.1.branch_norm.weight", "stages.1.1.conv.identity.bn.weight"),
            ("stage_2.1.branch_reparam.bias", "stages.1.1.conv.bias"),
            ("head.fc.weight", "head.fc.weight"),
        ],
    );
    check(
        Naming::TimmVgg,
        &[
            ("features.0.weight", "features.0.weight"),
            ("pre_logits.fc1.weight", "classifier.0.weight"),
            ("pre_logits.fc2.bias", "classifier.3.bias"),
            ("head.fc.weight", "classifier.6.weight"),
        ],
    );
    check(
        Naming::Cifar,
        &[
            ("conv1.weight", "conv1.weight"),
            ("bn1.weight", "bn1.weight"),
            ("layer1.0.conv1.weight", "layer1.0.conv1.weight"),
            ("layer2.0.shortcut.1.running_mean", "layer2.0.downsample.1.running_mean"),
            ("linear.bias", "fc.bias"),
        ],
    );
    check(
        Naming::Cifar,
        &[
            ("conv1.weight", "conv_stem.weight"),
            ("bn1.weight", "bn1.weight"),
            ("layers.0.conv1.weight", "blocks.0.0.conv_dw.weight"),
            ("layers.12.conv2.weight", "blocks.4.1.conv_pw.weight"),
            ("layers.12.bn2.bias", "blocks.4.1.bn2.bias"),
            ("linear.bias", "classifier.bias"),
        ],
    );
    check(
        Naming::Cifar,
        &[
            ("conv1.0.weight", "conv1.weight"),
            ("conv1.1.running_var", "bn1.running_var"),
            ("conv2_x.1.residual_function.3.weight", "layer1.1.conv2.weight"),
            ("conv5_x.0.residual_function.7.bias", "layer4.0.bn3.bias"),
            ("conv5_x.0.shortcut.1.bias", "layer4.0.downsample.1.bias"),
            ("fc.bias", "fc.bias"),
        ],
    );
    check(
        Naming::Numbered,
        &[
            ("0.weight", "conv1.weight"),
            ("1.running_var", "bn1.running_var"),
            ("4.0.conv1.weight", "layer1.0.conv1.weight"),
            ("5.0.downsample.0.weight", "layer2.0.downsample.0.weight"),
            ("6.0.bn1.weight", "layer3.0.bn1.weight"),
            ("7.0.bn2.weight", "layer4.0.bn2.weight"),
            ("9.bias", "fc.bias"),
        ],
    );
    check(
        Naming::TimmUnits,
        &[
            ("stem.conv_kxk.conv.weight", "stem.conv.kxk.conv.weight"),
            ("stages.0.1.identity.bias", "stages.0.1.conv.identity.bn.bias"),
            ("stages.0.0.reparam_conv.bias", "stages.0.0.conv.bias"),
            ("head.fc.bias", "head.fc.bias"),
        ],
    );
}

/// Names as the modules of timm 1.0 and torchvision 0.29 and the published code have them.
#[test]
fn networks_for_small_machines() {
    check(
        Naming::TimmUnits,
        &[
            ("stem.conv_kxk.0.conv.weight", "stem.conv.kxk.conv.weight"),
            ("stem.conv_kxk.3.bn.running_var", "stem.conv.kxk.4.bn.running_var"),
            ("stem.conv_scale.bn.weight", "stem.conv.1x1.bn.weight"),
            ("stages.2.11.identity.running_mean", "stages.2.11.conv.identity.bn.running_mean"),
            ("stages.2.11.attn.fc1.bias", "stages.2.11.attn.fc1.bias"),
            ("head.fc.weight", "head.fc.weight"),
        ],
    );
    check(
        Naming::MobileOne,
        &[
            ("stage0.rbr_conv.0.conv.weight", "stem.conv.kxk.conv.weight"),
            ("stage0.rbr_scale.bn.bias", "stem.conv.1x1.bn.bias"),
            ("stage1.0.rbr_conv.3.bn.weight", "stages.0.0.conv.kxk.4.bn.weight"),
            ("stage3.11.rbr_skip.running_var", "stages.2.11.conv.identity.bn.running_var"),
            ("stage4.1.se.reduce.weight", "stages.3.1.attn.fc1.weight"),
            ("stage4.1.se.expand.bias", "stages.3.1.attn.fc2.bias"),
            ("linear.weight", "head.fc.weight"),
        ],
    );
    check(
        Naming::MobileOne,
        &[
            ("stage0.reparam_conv.weight", "stem.conv.weight"),
            ("stage1.0.reparam_conv.bias", "stages.0.0.conv.bias"),
            ("linear.bias", "head.fc.bias"),
        ],
    );
    check(
        Naming::TimmMobileNetV2,
        &[
            ("conv_stem.weight", "features.0.0.weight"),
            ("bn1.bias", "features.0.1.bias"),
            ("blocks.0.0.conv_dw.weight", "features.1.conv.0.0.weight"),
            ("blocks.0.0.bn1.bias", "features.1.conv.0.1.bias"),
            ("blocks.0.0.conv_pw.weight", "features.1.conv.1.weight"),
            ("blocks.0.0.bn2.running_var", "features.1.conv.2.running_var"),
            ("blocks.1.1.conv_pw.weight", "features.3.conv.0.0.weight"),
            ("blocks.6.0.conv_dw.weight", "features.17.conv.1.0.weight"),
            ("blocks.6.0.bn2.bias", "features.17.conv.1.1.bias"),
            ("blocks.6.0.conv_pwl.weight", "features.17.conv.2.weight"),
            ("blocks.6.0.bn3.bias", "features.17.conv.3.bias"),
            ("conv_head.weight", "features.18.0.weight"),
            ("bn2.bias", "features.18.1.bias"),
            ("classifier.bias", "classifier.1.bias"),
        ],
    );
    check(
        Naming::MobileNetV2,
        &[
            ("features.0.0.weight", "features.0.0.weight"),
            ("features.2.conv.1.0.weight", "features.2.conv.1.0.weight"),
            ("features.18.1.bias", "features.18.1.bias"),
            ("classifier.1.weight", "classifier.1.weight"),
        ],
    );
    check(
        Naming::TimmRepVit,
        &[
            ("stem.conv1.c.weight", "stem.conv1.c.weight"),
            (
                "stages.0.blocks.0.token_mixer.conv.c.weight",
                "stages.0.blocks.0.token_mixer.kxk.conv.weight",
            ),
            (
                "stages.0.blocks.0.token_mixer.conv.bn.bias",
                "stages.0.blocks.0.token_mixer.kxk.bn.bias",
            ),
            (
                "stages.0.blocks.0.token_mixer.conv1.bias",
                "stages.0.blocks.0.token_mixer.1x1.conv.bias",
            ),
            ("stages.0.blocks.0.token_mixer.bn.weight", "stages.0.blocks.0.token_mixer.bn.weight"),
            ("stages.0.blocks.0.se.fc1.weight", "stages.0.blocks.0.se.fc1.weight"),
            (
                "stages.0.blocks.0.channel_mixer.conv2.bn.bias",
                "stages.0.blocks.0.channel_mixer.conv2.bn.bias",
            ),
            (
                "stages.1.downsample.spatial_downsample.c.weight",
                "stages.1.downsample.spatial_downsample.c.weight",
            ),
            ("head.head.l.weight", "head.head.l.weight"),
        ],
    );
    check(
        Naming::TimmRepVit,
        &[
            ("stem.conv1.weight", "stem.conv1.c.weight"),
            ("stages.0.blocks.0.token_mixer.weight", "stages.0.blocks.0.token_mixer.weight"),
            ("stages.0.blocks.0.se.fc1.bias", "stages.0.blocks.0.se.fc1.bias"),
            (
                "stages.0.blocks.0.channel_mixer.conv2.bias",
                "stages.0.blocks.0.channel_mixer.conv2.c.bias",
            ),
            (
                "stages.1.downsample.spatial_downsample.weight",
                "stages.1.downsample.spatial_downsample.c.weight",
            ),
            ("head.bias", "head.head.l.bias"),
        ],
    );
    // QARepVGG in the names of the published RepVGG code.
    check(
        Naming::RepVgg,
        &[
            ("stage0.rbr_dense.conv.weight", "stem.conv.kxk.conv.weight"),
            ("stage1.0.rbr_1x1.weight", "stages.0.0.conv.1x1.conv.weight"),
            ("stage1.0.bn.running_var", "stages.0.0.conv.bn.running_var"),
        ],
    );
}

#[test]
fn values_are_edited_where_names_say_so() {
    let edit = |mark: &str, name: &str| {
        let parts: Vec<&str> = name.split('.').collect();
        dialects(&mark.split('.').collect())[0].translate(&parts).edit
    };
    let dbb = "conv1.dbb_origin.conv.weight";
    assert_eq!(edit(dbb, "conv1.dbb_1x1_kxk.idconv1.weight"), Edit::AddIdentity);
    assert_eq!(edit(dbb, "conv1.dbb_1x1_kxk.conv1.weight"), Edit::None);
    let vgg = "pre_logits.fc1.fc2";
    assert_eq!(edit(vgg, "pre_logits.fc1.weight"), Edit::Flatten);
    assert_eq!(edit(vgg, "features.0.weight"), Edit::None);
}

#[test]
fn every_file_has_a_dialect() {
    let any = dialects(&["anything"].into_iter().collect());
    assert!(matches!(any[..], [Dialect { naming: Naming::Plain, .. }]));
}
