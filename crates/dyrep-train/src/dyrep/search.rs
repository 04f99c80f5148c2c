//! A search while a [`DyRep`] trains: which branches run at the step that comes, in the model and in its average.

use burn::module::Module;
use dyrep_burn::{Search, SearchConfig, SearchError, reset_statistics};

use super::DyRep;

impl<M: Module> DyRep<M> {
    /// Searches the branches of the model's blocks (RepNAS, arXiv 2109.03508). At each step those that are not chosen rest; an
    /// evaluation is of those with the highest scores, which also are what the last phase trains. Give it before anything
    /// that keeps a copy of the model, and no controller beside it.
    ///
    /// # Errors
    /// Options that make no sense, or blocks that cannot be searched.
    pub fn with_search(mut self, config: SearchConfig) -> Result<Self, SearchError> {
        let search = Search::begin(config, &self.model, self.setup.steps_per_epoch)?;
        self.search = Some(search);
        Ok(self.masked())
    }

    /// The search, where there is one.
    #[must_use]
    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// With the branches running that the search has chosen for the step that comes.
    fn masked(mut self) -> Self {
        if let Some(search) = &self.search {
            self.model = search.apply(self.model);
            if let Some(average) = &mut self.average {
                average.model = search.apply(average.model.clone());
            }
        }
        self
    }

    /// What an evaluation is of, where branches are searched.
    pub(super) fn chosen(&self, model: M) -> M {
        match &self.search {
            Some(search) => search.apply_to_evaluate(model),
            None => model,
        }
    }

    /// Ends the step of the search, after the optimiser's.
    pub(super) fn searched(mut self) -> Self {
        let Some(search) = &mut self.search else { return self };
        if search.step() {
            reset_statistics(&self.model);
            self.average.iter().for_each(|average| reset_statistics(&average.model));
        }
        self.masked()
    }
}
