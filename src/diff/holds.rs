//! Whether all that differs between two contents are names and digests of other files: put back what
//! they are in the control, and the contents are the same.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::formats::{digits, elf, hashed};
use crate::model::{Element, Field, Snapshot, Value};

/// Of so many changed names and contents of one trial the digests are looked for.
const CHANGES: usize = 1024;
/// Digests that were cut off are known by at least this many letters.
const CUT: usize = 6;
/// By so many bytes they are found.
const KEY: usize = 4;
/// Longer contents are not looked into.
const LIMIT: usize = 4 << 20;
/// Longer contents, and those with more lines of their own, are compared in their order only.
const LIST: usize = 256 << 10;
const LINES: usize = 128;
/// No token begins farther before a difference.
const LONGEST: usize = 256;

/// What a content can hold of another file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The name: the path of the element whose field it is.
    Name(String),
    /// The digest of what is at this path.
    Content(String),
}

/// What other files' names and contents are in the control and in one trial.
#[derive(Debug, Default)]
pub struct Changes {
    names: Vec<(String, String, String)>,
    /// Path, SHA-256 in the control and in the trial, and sizes.
    contents: Vec<(String, [String; 2], [u64; 2])>,
    /// Made when they are asked for.
    tokens: OnceCell<Tokens>,
}

/// A run of bytes in the control and in the trial.
#[derive(Debug)]
struct Token {
    old: Vec<u8>,
    new: Vec<u8>,
    source: usize,
}

/// All tokens of a trial.
#[derive(Debug, Default)]
struct Tokens {
    sources: Vec<Source>,
    known: Vec<Token>,
    /// By how they begin in the control.
    found: BTreeMap<[u8; KEY], Vec<usize>>,
    sizes: BTreeSet<[u64; 2]>,
}

impl Changes {
    /// What differs between the control and a snapshot in its names.
    pub fn of(control: &Snapshot, other: &Snapshot) -> Self {
        let names = other.renamed.values().filter_map(|r| r.names.as_ref());
        let names = names.map(|n| (n.element.clone(), n.control.clone(), n.own.clone()));
        let digest = |value: &Value| match value {
            Value::Digest { sha256, size } => Some((sha256.clone(), *size)),
            Value::Text(_) | Value::Order(_) => None,
        };
        let contents = other.elements.iter().filter_map(|item| {
            if *item.field != Field::CONTENT {
                return None;
            }
            let control = control.elements.get(&item.element())?;
            if control == item.value {
                return None;
            }
            let (old, new) = (digest(control)?, digest(item.value)?);
            Some((item.path.to_string(), [old.0, new.0], [old.1, new.1]))
        });
        Self {
            names: names.take(CHANGES).collect(),
            contents: contents.take(CHANGES).collect(),
            tokens: OnceCell::new(),
        }
    }

    /// Whether nothing changed that a content could hold.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.contents.is_empty()
    }

    /// What the content at `path` holds, if names and digests of others are all that differs; `None`
    /// where anything else does.
    pub fn held(&self, element: &Element, old: &[u8], new: &[u8]) -> Option<BTreeSet<Source>> {
        if self.is_empty() || old.len().max(new.len()) > LIMIT {
            return None;
        }
        let tokens = self.tokens.get_or_init(|| self.tokens());
        let own = if element.field == Field::NAME {
            Source::Name(element.path.to_string())
        } else {
            Source::Content(element.path.to_string())
        };
        let own = tokens.sources.iter().position(|source| *source == own);
        let mut held = BTreeSet::new();
        let (old, new) = (without_link(old), without_link(new));
        if !tokens.explain(&old, &new, own, &mut held) {
            held.clear();
            tokens.lines(&old, &new, own, &mut held)?;
        }
        let held = held
            .into_iter()
            .filter_map(|source| tokens.sources.get(source));
        let held: BTreeSet<Source> = held.cloned().collect();
        (!held.is_empty()).then_some(held)
    }

    fn tokens(&self) -> Tokens {
        let mut tokens = Tokens::default();
        for (path, old, new) in &self.names {
            tokens.sources.push(Source::Name(path.clone()));
            for (old, new) in hashed::differing(old, new) {
                tokens.add(old.as_bytes(), new.as_bytes());
                let whole = [&old, &new].map(|run| run.replace('/', ""));
                let [old, new] = &whole;
                tokens.add(old.as_bytes(), new.as_bytes());
                if let (Some(old), Some(new)) = (digits::bytes(old), digits::bytes(new)) {
                    tokens.add(&old, &new);
                }
            }
        }
        for (path, [old, new], sizes) in &self.contents {
            tokens.sources.push(Source::Content(path.clone()));
            tokens.sizes.insert(*sizes);
            tokens.add(old.as_bytes(), new.as_bytes());
            if let (Some(old), Some(new)) = (digits::bytes(old), digits::bytes(new)) {
                tokens.add(&old, &new);
                for write in [digits::base64, digits::base64url] {
                    tokens.add(write(&old).as_bytes(), write(&new).as_bytes());
                }
            }
        }
        tokens
    }
}

/// A program without the checksum of the separate file that holds its debug information, which
/// changes with that file.
fn without_link(bytes: &[u8]) -> Cow<'_, [u8]> {
    let sections = elf::sections(bytes);
    let link = sections
        .iter()
        .find(|section| section.name == ".gnu_debuglink");
    let Some(range) = link.map(|section| section.range.clone()) else {
        return Cow::Borrowed(bytes);
    };
    let mut bytes = bytes.to_vec();
    if let Some(link) = bytes.get_mut(range) {
        link.fill(0);
    }
    Cow::Owned(bytes)
}

impl Tokens {
    /// Adds a token of the latest source.
    fn add(&mut self, old: &[u8], new: &[u8]) {
        let Some(key) = old.first_chunk::<KEY>().filter(|_| old.len() >= CUT) else {
            return;
        };
        let found = self.found.entry(*key).or_default();
        found.push(self.known.len());
        self.known.push(Token {
            old: old.to_vec(),
            new: new.to_vec(),
            source: self.sources.len() - 1,
        });
    }

    /// Whether two contents are the same but for sizes and tokens, none of them of the source `own`;
    /// which ones.
    fn explain(
        &self,
        old: &[u8],
        new: &[u8],
        own: Option<usize>,
        held: &mut BTreeSet<usize>,
    ) -> bool {
        let (mut here, mut there) = (0, 0);
        loop {
            let (mine, theirs) = (
                old.get(here..).unwrap_or_default(),
                new.get(there..).unwrap_or_default(),
            );
            let same = super::excerpt::common(mine, theirs);
            if same == mine.len() && same == theirs.len() {
                return true;
            }
            let step = self.token(mine, theirs, same, own).or_else(|| {
                let (old, new) = self.size(old, new, here + same, there + same)?;
                Some((old - here, new - there, None))
            });
            let Some((mine, theirs, source)) = step else {
                return false;
            };
            here += mine;
            there += theirs;
            held.extend(source);
        }
    }

    /// The token at the first difference, and how far it reaches in both.
    fn token(
        &self,
        mine: &[u8],
        theirs: &[u8],
        same: usize,
        own: Option<usize>,
    ) -> Option<(usize, usize, Option<usize>)> {
        let first = same.saturating_sub(LONGEST);
        (first..=same).rev().find_map(|start| {
            let (old, new) = (mine.get(start..)?, theirs.get(start..)?);
            let key = old.first_chunk::<KEY>()?;
            let tokens = self.found.get(key)?.iter();
            let tokens = tokens.filter_map(|token| self.known.get(*token));
            let mut tokens = tokens.filter(|token| Some(token.source) != own);
            tokens.find_map(|token| {
                let (a, b) = (
                    super::excerpt::common(old, &token.old),
                    super::excerpt::common(new, &token.new),
                );
                let (a, b) = if a == token.old.len() && b == token.new.len() {
                    (a, b)
                } else {
                    (a.min(b), a.min(b))
                };
                let reaches = a >= CUT && start + a > same && start + b > same;
                reaches.then_some((start + a, start + b, Some(token.source)))
            })
        })
    }

    /// Where a number ends in both that is the size of another file.
    fn size(&self, old: &[u8], new: &[u8], here: usize, there: usize) -> Option<(usize, usize)> {
        let number = |bytes: &[u8], at: usize| {
            let digits = |bytes: &mut dyn Iterator<Item = &u8>| {
                bytes.take_while(|byte| byte.is_ascii_digit()).count()
            };
            let start = at - digits(&mut bytes.get(..at)?.iter().rev());
            let end = at + digits(&mut bytes.get(at..)?.iter());
            let text = std::str::from_utf8(bytes.get(start..end)?).ok()?;
            Some((text.parse().ok()?, end))
        };
        let (old, new): ((u64, usize), (u64, usize)) = (number(old, here)?, number(new, there)?);
        let known = self.sizes.contains(&[old.0, new.0]);
        known.then_some((old.1, new.1))
    }

    /// The same for lines in any order: lists are often sorted by what changes.
    fn lines(
        &self,
        old: &[u8],
        new: &[u8],
        own: Option<usize>,
        held: &mut BTreeSet<usize>,
    ) -> Option<()> {
        if old.len().max(new.len()) > LIST {
            return None;
        }
        let count = |bytes: &[u8]| {
            let mut lines: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            for line in bytes.split(|byte| *byte == b'\n') {
                *lines.entry(line.to_vec()).or_default() += 1;
            }
            lines
        };
        let (mut left, mut right) = (count(old), count(new));
        for (line, count) in &mut left {
            if let Some(other) = right.get_mut(line) {
                let both = (*count).min(*other);
                *count -= both;
                *other -= both;
            }
        }
        let only = |lines: BTreeMap<Vec<u8>, usize>| {
            let lines = lines.into_iter();
            lines
                .flat_map(|(line, count)| std::iter::repeat_n(line, count))
                .collect::<Vec<_>>()
        };
        let (left, mut right) = (only(left), only(right));
        if left.len() != right.len() || left.len() > LINES {
            return None;
        }
        for line in left {
            let fits = right.iter().position(|other| {
                let mut found = BTreeSet::new();
                let fits = self.explain(&line, other, own, &mut found);
                if fits {
                    held.extend(found);
                }
                fits
            })?;
            right.swap_remove(fits);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes {
        let digest = |digit: &str| digit.repeat(16);
        let (old, new) = ("app-4f2a91c0.js".into(), "app-90c3b7de.js".into());
        let digests = [digest("0f1e"), digest("a1b2")];
        Changes {
            names: vec![("a.js".into(), old, new)],
            contents: vec![("layer".into(), digests, [120, 99])],
            tokens: OnceCell::new(),
        }
    }

    fn held(old: &str, new: &str) -> Option<Vec<Source>> {
        let element = Element::new("x", Field::CONTENT);
        let held = changes().held(&element, old.as_bytes(), new.as_bytes())?;
        Some(held.into_iter().collect())
    }

    #[test]
    fn names_digests_and_sizes_of_others_are_put_back() {
        let name = Source::Name("a.js".into());
        let layer = Source::Content("layer".into());
        assert_eq!(
            held("<a src=app-4f2a91c0.js>", "<a src=app-90c3b7de.js>"),
            Some(vec![name.clone()])
        );
        let index = |digest: &str, size| {
            format!(
                "{{\"digest\":\"sha256:{}\",\"size\":{size}}}",
                digest.repeat(16)
            )
        };
        assert_eq!(
            held(&index("0f1e", 120), &index("a1b2", 99)),
            Some(vec![layer.clone()])
        );
        assert_eq!(held("v=0f1e0f1e", "v=a1b2a1b2"), Some(vec![layer.clone()]));
        assert_eq!(
            held("0f1e0f1e  x\n4f2a91c0  y\n", "90c3b7de  y\na1b2a1b2  x\n"),
            Some(vec![name, layer])
        );
    }

    #[test]
    fn what_differs_besides_is_not_explained() {
        assert_eq!(held("app-4f2a91c0.js 1", "app-90c3b7de.js 2"), None);
        assert_eq!(held("app-4f2a91c0.js", "app-11111111.js"), None);
        assert_eq!(held("size 120", "size 99"), None);
        assert_eq!(held("same", "same"), None);
        assert_eq!(held("app-4f2a91c0.js", "app-90c3b7de.js more"), None);
    }
}
