//! Enums of modules that add no level to the paths of parameters.
//!
//! Burn's derive would put a variant's name between the enum's own name and the parameter's: `features.0.Conv.weight`.
//! These enums pass every traversal straight on, so that the path is torchvision's `features.0.weight`.

/// Declares an enum whose variants hold one module each, and implements Burn's `Module` for it.
macro_rules! transparent {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$of_variant:meta])* $variant:ident($module:ty),)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug)]
        #[allow(clippy::large_enum_variant, reason = "a network has few of them")]
        $vis enum $name {
            $($(#[$of_variant])* $variant($module),)+
        }

        impl burn::module::Module for $name {
            fn collect_devices(&self, devices: Vec<burn::tensor::Device>) -> Vec<burn::tensor::Device> {
                match self {
                    $(Self::$variant(module) => module.collect_devices(devices),)+
                }
            }

            fn fork(self, device: &burn::tensor::Device) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.fork(device)),)+
                }
            }

            fn to_device(self, device: &burn::tensor::Device) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.to_device(device)),)+
                }
            }

            fn train(self) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.train()),)+
                }
            }

            fn valid(&self) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.valid()),)+
                }
            }

            fn materialize(self) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.materialize()),)+
                }
            }

            fn visit<V: burn::module::ModuleVisitor>(&self, visitor: &mut V) {
                match self {
                    $(Self::$variant(module) => module.visit(visitor),)+
                }
            }

            fn map<M: burn::module::ModuleMapper>(self, mapper: &mut M) -> Self {
                match self {
                    $(Self::$variant(module) => Self::$variant(module.map(mapper)),)+
                }
            }
        }

        impl burn::module::ModuleDisplayDefault for $name {
            fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
                match self {
                    $(Self::$variant(module) => {
                        burn::module::ModuleDisplayDefault::content(module, content)
                    })+
                }
            }
        }

        impl burn::module::ModuleDisplay for $name {}
    };
}

pub(crate) use transparent;
