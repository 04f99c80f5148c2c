//! The networks that there are: the one list of them.

/// Gives the list to a macro: a family a line, as the network, its configuration, and the constructors whose names are the
/// networks'.
#[doc(hidden)]
#[macro_export]
macro_rules! zoo {
    ($list:ident) => {
        $list! {
            /// Residual networks.
            ResNet(ResNetConfig): resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d wide_resnet50_2
                wide_resnet101_2 resnet18d resnet34d resnet50d resnet101d resnet152d;
            /// 3×3 convolutions and poolings in a row.
            Vgg(VggConfig): vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn cifar_vgg16;
            /// Depthwise separable convolutions.
            MobileNetV1(MobileNetV1Config): mobilenet_v1 mobilenet_v1_075 mobilenet_v1_050 mobilenet_v1_025;
            /// Inverted residuals: wide depthwise convolutions between narrow maps.
            MobileNetV2(MobileNetV2Config): mobilenet_v2 mobilenet_v2_140 mobilenet_v2_075 mobilenet_v2_050 mobilenet_v2_035;
            /// Depthwise and 1×1 convolutions, with repeated branches while they train.
            MobileOne(MobileOneConfig): mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s3 mobileone_s4;
            /// Mixers of places, depthwise with branches while they train, and of channels, in turns.
            RepVit(RepVitConfig): repvit_m0_9 repvit_m1_0 repvit_m1_1 repvit_m1_5 repvit_m2_3;
            /// 3×3 convolutions in a row, with branches while they train.
            RepVgg(RepVggConfig): repvgg_a0 repvgg_a1 repvgg_a2 repvgg_b0 repvgg_b1 repvgg_b1g2 repvgg_b1g4
                repvgg_b2 repvgg_b2g2 repvgg_b2g4 repvgg_b3 repvgg_b3g2 repvgg_b3g4
                qarepvgg_a0 qarepvgg_a1 qarepvgg_a2 qarepvgg_b0 qarepvgg_b1 qarepvgg_b1g2 qarepvgg_b1g4
                qarepvgg_b2 qarepvgg_b2g2 qarepvgg_b2g4 qarepvgg_b3 qarepvgg_b3g2 qarepvgg_b3g4;
        }
    };
}

macro_rules! names {
    ($($(#[$doc:meta])* $family:ident($config:ident): $($name:ident)+;)+) => {
        /// The names of all networks.
        pub const MODELS: &[&str] = &[$($(stringify!($name),)+)+];
    };
}

zoo!(names);
