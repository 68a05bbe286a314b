//! What a format says of itself: its name, how it is recognised and read, and what its fields are.
//! Whoever asks about a field or about a file's name asks the registry, so that no other list of
//! formats exists.

use super::place::Place;
use super::stream::Stream;

/// A format.
pub(super) struct Format {
    /// What the names of its fields begin with, before a dot.
    pub(super) name: &'static str,
    /// Whether a stream that begins so is one; up to [`super::PREFIX`] bytes.
    pub(super) recognise: fn(&[u8]) -> bool,
    /// Reads as far as it can; what it leaves is hashed all the same.
    pub(super) read: fn(&mut Stream<'_>, &mut Place<'_>),
    /// What is in it.
    pub(super) holds: Holds,
    /// What its fields are; the first that fits counts. A field that fits none stands in a header
    /// around the bytes at its path, and is nothing special.
    pub(super) fields: &'static [Known],
    /// What a normaliser sets in such a file: fields of these kinds are no difference of what it holds.
    pub(super) normal: &'static [Kind],
}

/// What is in a file of a format.
pub(super) enum Holds {
    /// Nothing that is looked into by itself.
    Nothing,
    /// Things with names of their own.
    Members,
    /// One thing, which is named after the file: its name's ending, and what stands for it.
    Payload(&'static [(&'static str, &'static str)]),
}

/// What is known of a field of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    /// Its name behind that of the format, or the first steps of it: `pax` is `tar.pax.comment`, too.
    name: &'static str,
    /// It stands within the bytes at its own path (`gzip.mtime`, `tar.order`) and so explains a
    /// difference of them; a member's header (`tar.mode`) stands in the archive around it.
    pub(super) within: bool,
    pub(super) kind: Kind,
}

/// What a field tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Seconds since 1970, or a date.
    Time,
    /// In which order the members stand.
    Order,
    /// Whom a member belongs to, by number or name.
    Owner,
    /// Who may read, write and run a member.
    Mode,
    /// How a writer says what is said otherwise as well, or means nothing: versions, padding, the
    /// original name of a compressed file.
    Header,
    /// The compressed form of a payload, which means something only where the payload is the same:
    /// the content at the same path, or inside.
    Compression,
    /// Anything else.
    Content,
}

impl Kind {
    /// The word for it in the name of a pass.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Order => "order",
            Self::Owner => "owner",
            Self::Mode => "mode",
            Self::Header => "header",
            Self::Compression => "compression",
            Self::Content => "content",
        }
    }
}

impl Format {
    /// What the one thing is called that a file of this path holds: `x.tar` in `d/x.tar.gz`. Nothing
    /// where the path has no ending of this format.
    pub(super) fn payload_name(&self, path: &str) -> Option<String> {
        let Holds::Payload(endings) = self.holds else {
            return None;
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        endings.iter().find_map(|(ending, instead)| {
            let stem = name.strip_suffix(ending)?;
            (!stem.is_empty()).then(|| format!("{stem}{instead}"))
        })
    }

    /// What is known of the field of this name, which is given without that of the format.
    pub(super) fn known(&self, name: &str) -> Option<&'static Known> {
        self.fields.iter().find(|known| known.fits(name))
    }
}

impl Known {
    /// A field within the bytes at its path.
    pub(super) const fn within(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            within: true,
            kind,
        }
    }

    /// A field in a header around them.
    pub(super) const fn around(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            within: false,
            kind,
        }
    }

    /// Whether this is the field, or one of the fields, of this name behind that of the format.
    pub(super) fn fits(&self, name: &str) -> bool {
        // The second of a kind is `mtime#2`.
        let name = name.split_once('#').map_or(name, |(name, _)| name);
        name.strip_prefix(self.name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_known_by_its_name_its_first_steps_and_whatever_its_number() {
        let known = Known::around("pax", Kind::Content);
        assert!(known.fits("pax") && known.fits("pax.comment") && known.fits("pax#2"));
        assert!(!known.fits("pax-name") && !known.fits("format"));
    }
}
