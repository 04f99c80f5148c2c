//! Categories, whose ids have gaps, as classes, which have none.

/// Names and ids of classes. Class `i` is the category with the `i`-th smallest id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Categories {
    ids: Vec<u64>,
    names: Vec<String>,
}

impl Categories {
    /// Categories from ids and names, in any order.
    ///
    /// # Errors
    ///
    /// The first id that comes twice.
    pub fn new(entries: impl IntoIterator<Item = (u64, String)>) -> Result<Self, u64> {
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(id, _)| *id);
        if let Some(pair) = entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(pair[0].0);
        }
        let (ids, names) = entries.into_iter().unzip();
        Ok(Self { ids, names })
    }

    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Names of the classes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The class of a category's id.
    #[must_use]
    pub fn class_of(&self, id: u64) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    /// The category's id of a class.
    #[must_use]
    pub fn id_of(&self, class: usize) -> Option<u64> {
        self.ids.get(class).copied()
    }
}
