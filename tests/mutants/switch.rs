//! Which mistake is made in this run, if any: the tree's own code knows nothing of it (scripts/mutants).

use std::sync::LazyLock;

static MADE: LazyLock<String> = LazyLock::new(|| std::env::var("KERVAN_MUTANT").unwrap_or_default());

pub fn on(name: &str) -> bool {
    *MADE == name
}
