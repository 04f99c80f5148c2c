//! What a run that goes on may change of its recipe.

use serde_json::Value;

use super::{Recipe, RecipeError};

/// Sections and keys that decide what the network is, what it reads and learns from, and how its steps are counted: of
/// these a checkpoint is.
const FIXED: [&str; 11] = [
    "model",
    "strategy",
    "data.set",
    "data.channels",
    "data.image_size",
    "optimizer.name",
    "optimizer.batch_size",
    "optimizer.accumulate",
    "optimizer.ema_decay",
    "distillation",
    "run.seed",
];

impl Recipe {
    /// Whether a run that was begun by `before` may go on by this recipe: with more epochs, another learning rate, its data
    /// elsewhere.
    ///
    /// # Errors
    /// A key that a checkpoint depends on and that is another now.
    pub fn check_resumed(&self, before: &Self) -> Result<(), RecipeError> {
        let [now, before] = [self, before].map(|recipe| {
            serde_json::to_value(recipe).unwrap_or_else(|error| unreachable!("a recipe: {error}"))
        });
        for key in FIXED {
            let at = |recipe: &Value| {
                let path = format!("/{}", key.replace('.', "/"));
                recipe.pointer(&path).cloned().unwrap_or(Value::Null)
            };
            if let Some((key, before, now)) = difference(key, &at(&before), &at(&now)) {
                return Err(RecipeError::Changed { key, before, now });
            }
        }
        Ok(())
    }
}

/// The first key at which two values differ, with both.
fn difference(key: &str, before: &Value, now: &Value) -> Option<(String, String, String)> {
    let (Value::Object(old), Value::Object(new)) = (before, now) else {
        let told = |value: &Value| match value {
            Value::Null => "not given".to_owned(),
            value => value.to_string(),
        };
        return (before != now).then(|| (key.to_owned(), told(before), told(now)));
    };
    let mut keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    keys.find_map(|inner| {
        let of = |table: &serde_json::Map<String, Value>| {
            table.get(inner).cloned().unwrap_or(Value::Null)
        };
        difference(&format!("{key}.{inner}"), &of(old), &of(new))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: &str) -> Result<(), String> {
        let of = |changes: &[&str]| {
            let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
            Recipe::builtin("digits_quick", &changes).unwrap()
        };
        of(&[change]).check_resumed(&of(&[])).map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_checkpoint_depends_on_stays() {
        for free in [
            "schedule.epochs=99",
            "optimizer.learning_rate=0.5",
            "optimizer.weight_decay=0.5",
            "run.threads=1",
            "evaluation.early_stopping=3",
        ] {
            assert_eq!(changed(free), Ok(()), "{free}");
        }
        for (fixed, key) in [
            ("optimizer.name=adamw", "`optimizer.name` is \"adamw\" and was \"sgd\""),
            ("optimizer.batch_size=7", "`optimizer.batch_size` is 7 and was"),
            ("run.seed=77", "`run.seed` is 77 and was"),
            ("model.width=12", "`model.width` is 12 and was"),
            ("optimizer.ema_decay=0.5", "`optimizer.ema_decay` is 0.5 and was not given"),
            ("strategy.name=plain", "`strategy."),
            ("distillation.file=t.safetensors", "`distillation` is {"),
        ] {
            let error = changed(fixed).unwrap_err();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
