//! How a folder of pictures is read.

use crate::decode::{Channels, Decoding};

/// What becomes of a folder's files and links. Made of [`Channels`] or a [`Decoding`], it follows no
/// link that leads out of the folder.
///
/// ```
/// use dyrep_data::{Channels, Reading};
///
/// let reading = Reading { follow_links: true, ..Channels::Rgb.into() };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How a file becomes an image.
    pub decoding: Decoding,
    /// Whether symbolic links to folders, and to files outside of the data set's own folder, are
    /// followed. Otherwise they are errors: what a folder means would depend on places that nobody
    /// named.
    pub follow_links: bool,
}

impl From<Decoding> for Reading {
    fn from(decoding: Decoding) -> Self {
        Self { decoding, follow_links: false }
    }
}

impl From<Channels> for Reading {
    fn from(channels: Channels) -> Self {
        Decoding::from(channels).into()
    }
}
