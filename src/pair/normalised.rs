//! The proof that two files become one when they are normalised: both are, and the results compared.

use std::collections::BTreeSet;
use std::path::Path;

use super::sides::{Sides, is_same, open};
use crate::normalize::{CONSTANT, Options, Spool, Spools as _, rewrite, same};
use crate::spool::Temporary;

/// Normalises both of each two files that are not the same; why some do not become one.
pub(super) fn prove(sides: &Sides) -> Result<(), String> {
    let [first, second] = sides.unlike();
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    for name in names {
        let (Some(one), Some(other)) = (first.get(name), second.get(name)) else {
            return Err(format!("{name} stands in one of them alone"));
        };
        // Only their own modes differ.
        if is_same(one, other).unwrap_or(false) {
            continue;
        }
        let mut one = normalised(name, "first", one)?;
        let mut other = normalised(name, "second", other)?;
        let same = same(&mut one, &mut *other).map_err(|error| error.to_string())?;
        if !same {
            return Err(format!("the canonical forms of {name} differ"));
        }
    }
    Ok(())
}

fn normalised(name: &str, side: &str, path: &Path) -> Result<Box<dyn Spool>, String> {
    let options = Options {
        class: None,
        time: Some(CONSTANT),
        keep: BTreeSet::new(),
        large: false,
    };
    let failed = |error: String| format!("{name} ({side}): {error}");
    let mut source = open(path).map_err(|error| failed(error.to_string()))?;
    let mut out = Temporary
        .spool()
        .map_err(|error| failed(error.to_string()))?;
    rewrite(name, &mut source, &mut *out, &options, &Temporary)
        .map_err(|error| failed(error.to_string()))?;
    Ok(out)
}
