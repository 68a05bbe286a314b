//! All elements of a snapshot, so that an archive of a million members fits into memory: those of one
//! path stand together, and what is the same for many (owner, mode, time) is kept once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Element, Field, Observed, Value};

/// So many different fields with their values are looked out for: what is common comes early.
const SHARED: usize = 4096;

/// The elements of a snapshot and what they are, by path and field.
#[derive(Debug, Clone, Default)]
pub struct Elements {
    paths: BTreeMap<Arc<str>, Fields>,
    shared: BTreeSet<Arc<Entry>>,
}

/// The fields of one path, sorted.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// Where the first of them stands; the others count from here, so that equal headers are equal.
    base: u64,
    /// Shared with copies of the snapshot.
    entries: Arc<Vec<Arc<Entry>>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    field: Field,
    value: Value,
    /// Bytes from the base, wrapped around.
    place: Option<u64>,
}

/// One element of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Item<'e> {
    /// Its path.
    pub path: &'e Arc<str>,
    /// Its field.
    pub field: &'e Field,
    /// Its value.
    #[serde(skip)]
    pub value: &'e Value,
    /// See [`Observed`].
    #[serde(skip)]
    pub offset: Option<u64>,
}

impl Item<'_> {
    /// The element itself.
    pub fn element(&self) -> Element {
        Element::new(Arc::clone(self.path), self.field.clone())
    }

    /// What it is.
    pub fn observed(&self) -> Observed {
        Observed {
            value: self.value.clone(),
            offset: self.offset,
        }
    }
}

impl Fields {
    fn find(&self, field: &Field) -> Result<usize, usize> {
        // Whole snapshots come sorted.
        match self.entries.last() {
            Some(last) if last.field < *field => Err(self.entries.len()),
            _ => self
                .entries
                .binary_search_by(|entry| entry.field.cmp(field)),
        }
    }

    fn get(&self, field: &Field) -> Option<&Arc<Entry>> {
        self.entries.get(self.find(field).ok()?)
    }

    fn offset(&self, entry: &Entry) -> Option<u64> {
        Some(self.base.wrapping_add(entry.place?))
    }

    /// Whether two paths have the same fields with the same values, wherever these stand.
    pub fn say_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entries, &other.entries) || self.iter().eq(other.iter())
    }

    fn items<'e>(&'e self, path: &'e Arc<str>) -> impl Iterator<Item = Item<'e>> {
        self.entries.iter().map(move |entry| Item {
            path,
            field: &entry.field,
            value: &entry.value,
            offset: self.offset(entry),
        })
    }

    /// The fields and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&Field, &Value)> {
        let entries = self.entries.iter();
        entries.map(|entry| (&entry.field, &entry.value))
    }
}

impl Elements {
    /// What an element is.
    pub fn get(&self, element: &Element) -> Option<&Value> {
        let entry = self.paths.get(&element.path)?.get(&element.field)?;
        Some(&entry.value)
    }

    /// Where an element stands, see [`Observed`].
    pub fn offset(&self, element: &Element) -> Option<u64> {
        let fields = self.paths.get(&element.path)?;
        fields.offset(fields.get(&element.field)?)
    }

    /// Whether there is such an element.
    pub fn contains(&self, element: &Element) -> bool {
        self.get(element).is_some()
    }

    /// Takes an element in, in the place of one that was there.
    pub fn insert(&mut self, element: Element, observed: Observed) {
        let Element { path, field } = element;
        let fields = self.paths.entry(path).or_default();
        if fields.entries.is_empty() {
            fields.base = observed.offset.unwrap_or(0);
        }
        let entry = Entry {
            field,
            value: observed.value,
            place: observed
                .offset
                .map(|offset| offset.wrapping_sub(fields.base)),
        };
        let at = fields.find(&entry.field);
        let entry = shared(&mut self.shared, entry);
        let entries = Arc::make_mut(&mut fields.entries);
        match at {
            Ok(at) => {
                if let Some(slot) = entries.get_mut(at) {
                    *slot = entry;
                }
            }
            Err(at) => entries.insert(at, entry),
        }
    }

    /// Gives an element that is there another value.
    pub fn set(&mut self, element: &Element, value: Value) {
        if self.contains(element) {
            let offset = self.offset(element);
            self.insert(element.clone(), Observed { value, offset });
        }
    }

    /// Removes an element.
    pub fn remove(&mut self, element: &Element) {
        let Some(fields) = self.paths.get_mut(&element.path) else {
            return;
        };
        if let Ok(at) = fields.find(&element.field) {
            Arc::make_mut(&mut fields.entries).remove(at);
        }
        if fields.entries.is_empty() {
            self.paths.remove(&element.path);
        }
    }

    /// Takes in all of another one, whose paths are others.
    pub fn append(&mut self, other: Self) {
        for (path, mut fields) in other.paths {
            for entry in Arc::make_mut(&mut fields.entries) {
                if let Some(known) = self.shared.get(entry) {
                    *entry = Arc::clone(known);
                }
            }
            self.paths.insert(path, fields);
        }
        let room = SHARED.saturating_sub(self.shared.len());
        self.shared.extend(other.shared.into_iter().take(room));
    }

    /// Shares with another snapshot what is the same in both, so that it is in memory once.
    pub fn share_with(&mut self, other: &Self) {
        let own = std::mem::take(&mut self.paths).into_iter();
        let shared = own.map(|(path, fields)| match other.paths.get_key_value(&path) {
            Some((path, known)) if known.base == fields.base && known.entries == fields.entries => {
                (Arc::clone(path), known.clone())
            }
            _ => (path, fields),
        });
        self.paths = shared.collect();
    }

    /// All of them, sorted by path and field.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        self.paths
            .iter()
            .flat_map(|(path, fields)| fields.items(path))
    }

    /// The paths, sorted, and the fields of each.
    pub fn paths(&self) -> impl Iterator<Item = (&Arc<str>, &Fields)> {
        self.paths.iter()
    }

    /// The elements of one path.
    pub fn of_path(&self, path: &str) -> impl Iterator<Item = Item<'_>> {
        let found = self.paths.get_key_value(path).into_iter();
        found.flat_map(|(path, fields)| fields.items(path))
    }

    /// Whether anything stands at a path.
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.contains_key(path)
    }

    /// The first path that is not before this one.
    pub fn first_path_from(&self, path: &str) -> Option<&str> {
        let mut range = self
            .paths
            .range::<str, _>((Bound::Included(path), Bound::Unbounded));
        range.next().map(|(path, _)| &**path)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.paths.values().map(|fields| fields.entries.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// The entry, or one that is equal. Contents are seldom equal, and there are many.
fn shared(known: &mut BTreeSet<Arc<Entry>>, entry: Entry) -> Arc<Entry> {
    if let Some(known) = known.get(&entry) {
        return Arc::clone(known);
    }
    let common = !matches!(entry.value, Value::Digest { .. });
    let entry = Arc::new(entry);
    if common && known.len() < SHARED {
        known.insert(Arc::clone(&entry));
    }
    entry
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Elements {}

impl Extend<(Element, Observed)> for Elements {
    fn extend<I: IntoIterator<Item = (Element, Observed)>>(&mut self, elements: I) {
        for (element, observed) in elements {
            self.insert(element, observed);
        }
    }
}

/// JSON has no maps with structured keys: elements travel as a sorted list.
impl Serialize for Elements {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|item| (item, Seen::of(item))))
    }
}

/// [`Observed`], borrowed.
#[derive(Serialize)]
struct Seen<'e> {
    value: &'e Value,
    offset: Option<u64>,
}

impl<'e> Seen<'e> {
    fn of(item: Item<'e>) -> Self {
        Self {
            value: item.value,
            offset: item.offset,
        }
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Elements;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Elements, A::Error> {
        let mut elements = Elements::default();
        while let Some((element, observed)) = list.next_element::<(Element, Observed)>()? {
            elements.insert(element, observed);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str, offset: u64) -> Observed {
        Observed {
            value: Value::Text(text.into()),
            offset: Some(offset),
        }
    }

    fn headers(paths: &[&str]) -> Elements {
        let mut elements = Elements::default();
        for (number, path) in (0..).zip(paths) {
            let base = 512 * number;
            for (field, value, place) in [("uid", "0", 108), ("mode", "0644", 100)] {
                let element = Element::new(*path, Field::from(field));
                elements.insert(element, text(value, base + place));
            }
        }
        elements
    }

    #[test]
    fn what_is_the_same_for_many_members_is_kept_once() {
        let elements = headers(&["a", "b"]);
        let of = |path: &str| &elements.paths[path].entries;
        assert!(Arc::ptr_eq(&of("a")[0], &of("b")[0]));
        let places: Vec<_> = elements.iter().map(|item| item.offset).collect();
        assert_eq!(places, [Some(100), Some(108), Some(612), Some(620)]);
        let mut all = Elements::default();
        all.append(elements.clone());
        all.append(headers(&["c"]));
        let shared = |path: &str| &all.paths[path].entries[0];
        assert!(Arc::ptr_eq(shared("a"), shared("c")));
        let mut again = headers(&["a", "b"]);
        again.set(
            &Element::new("b", Field::from("uid")),
            Value::Text("7".into()),
        );
        again.share_with(&elements);
        let same = |path: &str| Arc::ptr_eq(&again.paths[path].entries, of(path));
        assert!(same("a") && !same("b"));
    }

    #[test]
    fn elements_are_found_changed_and_removed_by_path_and_field() {
        let mut elements = headers(&["a", "b"]);
        let mode = Element::new("b", Field::from("mode"));
        elements.set(&mode, Value::Text("0600".into()));
        assert_eq!(elements.get(&mode), Some(&Value::Text("0600".into())));
        assert_eq!(elements.offset(&mode), Some(612));
        assert_eq!(elements.len(), 4);
        elements.remove(&mode);
        elements.remove(&Element::new("b", Field::from("uid")));
        assert!(!elements.has_path("b") && elements.first_path_from("aa").is_none());
        assert_eq!(elements.first_path_from(""), Some("a"));
        assert_eq!(elements.of_path("a").count(), 2);
    }

    #[test]
    fn they_survive_json_in_whatever_order_they_were_taken_in() {
        let elements = headers(&["a", "b"]);
        let json = serde_json::to_string(&elements).unwrap();
        assert!(json.starts_with(
            r#"[[{"path":"a","field":"mode"},{"value":{"text":"0644"},"offset":100}]"#
        ));
        let read: Elements = serde_json::from_str(&json).unwrap();
        assert_eq!(read, elements);
    }
}
