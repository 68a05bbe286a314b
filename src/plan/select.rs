//! Which variations the user wants: names resolved, and what contradicts itself refused.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, UnknownName, quoted};

use super::{Error, Request};

/// The outcome of `--only`, `--skip` and `--require`.
#[derive(Debug)]
pub(super) struct Selection {
    only: Option<BTreeSet<String>>,
    skip: BTreeSet<String>,
    /// Named, so that without them there is no verdict.
    pub asked: BTreeSet<String>,
}

impl Selection {
    /// Resolves the request's names.
    pub(super) fn of(catalog: &Catalog, request: &Request) -> Result<Self, Error> {
        let only = match &request.only {
            None => None,
            Some(words) if is_all(words) => None,
            Some(words) => Some(resolve(catalog, words)?),
        };
        let skip = if is_all(&request.skip) {
            catalog.entries().iter().map(|e| e.name.clone()).collect()
        } else {
            resolve(catalog, &request.skip)?
        };
        let mut selection = Self {
            asked: only.clone().unwrap_or_default(),
            only,
            skip,
        };
        selection
            .asked
            .retain(|name| !selection.skip.contains(name));
        selection.refuse_nothing(catalog, request)?;
        selection.require(catalog, request)?;
        Ok(selection)
    }

    fn refuse_nothing(&self, catalog: &Catalog, request: &Request) -> Result<(), Error> {
        let mut names = catalog.entries().iter().map(|entry| &entry.name);
        if names.any(|name| self.left_out_by(name).is_none()) {
            return Ok(());
        }
        let known: Vec<_> = catalog.entries().iter().map(|entry| &entry.name).collect();
        Err(Error::Empty {
            choice: options(request),
            known: quoted(&known),
        })
    }

    fn require(&mut self, catalog: &Catalog, request: &Request) -> Result<(), Error> {
        if is_all(&request.require) {
            let names = catalog.entries().iter().map(|entry| entry.name.clone());
            let wanted: Vec<_> = names.filter(|n| self.left_out_by(n).is_none()).collect();
            self.asked.extend(wanted);
            return Ok(());
        }
        for name in resolve(catalog, &request.require)? {
            if self.left_out_by(&name).is_some() {
                let choice = options(request);
                return Err(Error::Contradiction { name, choice });
            }
            self.asked.insert(name);
        }
        Ok(())
    }

    /// Which option leaves this variation out, in words; `None` where it is to be tried.
    pub(super) fn left_out_by(&self, name: &str) -> Option<String> {
        if self.skip.contains(name) {
            return Some("left out by --skip".into());
        }
        match &self.only {
            Some(only) if !only.contains(name) => Some("not among --only".into()),
            _ => None,
        }
    }
}

fn is_all(words: &[String]) -> bool {
    words.iter().any(|word| word == "all")
}

fn resolve(catalog: &Catalog, words: &[String]) -> Result<BTreeSet<String>, UnknownName> {
    let entries = words.iter().map(|word| catalog.find(word));
    entries.map(|entry| Ok(entry?.name.clone())).collect()
}

/// The request's options as they would be typed.
fn options(request: &Request) -> String {
    let mut parts = Vec::new();
    if let Some(only) = &request.only {
        parts.push(format!("--only {}", written(only)));
    }
    if !request.skip.is_empty() {
        parts.push(format!("--skip {}", written(&request.skip)));
    }
    parts.join(" ")
}

fn written(words: &[String]) -> String {
    if words.is_empty() {
        return "''".into();
    }
    words.join(",")
}
