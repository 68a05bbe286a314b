//! Values that the levels chose, found again in the bytes of an element: a hint for the search which
//! variation reached it. Looked for as they stand and as programs rewrite them (upper case, UTF-16,
//! base64, hexadecimal, times as numbers and dates), and only believed where the control does not
//! have them. A hint makes no claim; a missed one costs a trial or two.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Clock, Kernel, Row, Setting, SourceOwner, UserIdentity, Value};
use crate::plan::Plan;

/// A day, in seconds: how far behind a chosen time a build may be.
const DAY: i64 = 86_400;
/// So many bytes of an element are looked at.
const MOST: usize = 1 << 18;
/// Shorter values stand in bytes by chance.
const SHORTEST: usize = 4;

/// A token's first bytes, the rest, and the variation that chose it.
type Token<'m> = ([u8; SHORTEST], &'m [u8], usize);

/// Where a chosen value stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    /// A word, from this byte on.
    Word(usize),
    /// A time of 32 bits, from this byte on: the control's, and the other one (seconds since 1970).
    Time(usize, [u32; 2]),
}

/// What the levels of one environment leave in bytes.
#[derive(Debug)]
pub struct Marks {
    /// The bytes that tokens begin with.
    begins: [bool; 256],
    /// By their first bytes: the rest, and the variation that chose them.
    tokens: BTreeMap<[u8; SHORTEST], Vec<(Vec<u8>, usize)>>,
    /// The clock's variation, when it starts in the control, and when in this environment.
    clock: Option<(usize, i64, i64)>,
    /// The umask's variation, and the bits that it takes away here.
    umask: Option<(usize, u32)>,
}

impl Marks {
    /// The marks of the environment of a row.
    pub fn of(plan: &Plan, row: &Row) -> Self {
        let mut marks = Self {
            begins: [false; 256],
            tokens: BTreeMap::new(),
            clock: None,
            umask: None,
        };
        for (factor, (variation, level)) in plan.variations.iter().zip(&row.0).enumerate() {
            let chosen = variation.level(*level).filter(|_| *level != 0);
            for setting in chosen.iter().flat_map(|level| &level.settings) {
                let mut controls = variation.control.settings.iter();
                let control = controls.find(|control| control.slot() == setting.slot());
                marks.add(factor, setting, control);
            }
        }
        marks
    }

    fn add(&mut self, factor: usize, setting: &Setting, control: Option<&Setting>) {
        match (setting, control) {
            (Setting::Umask(mask), _) => self.umask = Some((factor, *mask)),
            (Setting::Clock(clock), Some(Setting::Clock(control))) => {
                if let (Some(here), Some(there)) = (start(*clock), start(*control)) {
                    self.clock = Some((factor, there, here));
                    for token in dates(here) {
                        self.token(factor, token.as_bytes());
                    }
                }
            }
            (setting, _) => {
                for text in texts(setting) {
                    for form in forms(&text) {
                        self.token(factor, &form);
                    }
                }
            }
        }
    }

    fn token(&mut self, factor: usize, token: &[u8]) {
        if let Some((first, rest)) = token.split_first_chunk::<SHORTEST>() {
            if let Some(begins) = self.begins.get_mut(usize::from(first[0])) {
                *begins = true;
            }
            let known = self.tokens.entry(*first).or_default();
            known.push((rest.to_vec(), factor));
        }
    }

    /// The variations of which something stands in `varied` and not in `control`.
    pub fn found(&self, control: &[u8], varied: &[u8]) -> BTreeSet<usize> {
        let known = self.scan(control);
        let new = self.scan(varied).into_iter();
        let mut factors: BTreeSet<usize> = new
            .filter(|token| !known.contains(token))
            .map(|(_, _, factor)| factor)
            .collect();
        factors.extend(self.times(control, varied));
        factors
    }

    /// The same for two values of a field.
    pub fn in_values(&self, control: &Value, varied: &Value) -> BTreeSet<usize> {
        let (Value::Text(control), Value::Text(varied)) = (control, varied) else {
            return BTreeSet::new();
        };
        let mut factors = self.found(control.as_bytes(), varied.as_bytes());
        let mode = |text: &str| u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
        if let (Some((factor, mask)), Some(before), Some(after)) =
            (self.umask, mode(control), mode(varied))
            && before & !mask == after
        {
            factors.insert(factor);
        }
        factors
    }

    /// Where a value stands in `varied` that these levels chose, and that `control` does not hold.
    pub(super) fn place(&self, control: &[u8], varied: &[u8]) -> Option<Chosen> {
        let known = self.scan(control);
        let new = self.occurrences(varied);
        let mut new = new.filter(|(_, token)| !known.contains(token));
        let word = new.next().map(|(at, _)| Chosen::Word(at));
        word.or_else(|| self.time_at(control, varied))
    }

    /// Whether a value of these levels stands in some bytes.
    pub(super) fn stand_in(&self, bytes: &[u8]) -> bool {
        self.occurrences(bytes).next().is_some()
    }

    /// The tokens that stand in some bytes.
    fn scan(&self, bytes: &[u8]) -> BTreeSet<Token<'_>> {
        self.occurrences(bytes).map(|(_, token)| token).collect()
    }

    /// The tokens that stand in some bytes, and where.
    fn occurrences<'m, 'b>(
        &'m self,
        bytes: &'b [u8],
    ) -> impl Iterator<Item = (usize, Token<'m>)> + use<'m, 'b> {
        let bytes = bytes.get(..MOST).unwrap_or(bytes);
        let windows = bytes.windows(SHORTEST).enumerate();
        let known = windows.filter_map(|(at, window)| {
            let first = window.first_chunk::<SHORTEST>()?;
            // Most bytes begin nothing, which a look into the map would cost more to learn.
            let begins = *self.begins.get(usize::from(first[0]))?;
            let known = begins.then(|| self.tokens.get_key_value(first)).flatten()?;
            Some((at, known))
        });
        known.flat_map(move |(at, (first, known))| {
            let behind = bytes.get(at + SHORTEST..).unwrap_or_default();
            let fit = known
                .iter()
                .filter(move |(rest, _)| behind.starts_with(rest));
            fit.map(move |(rest, factor)| (at, (*first, rest.as_slice(), *factor)))
        })
    }

    /// The clock's variation, where both hold its times as 32 bits at the same place.
    fn times(&self, control: &[u8], varied: &[u8]) -> Option<usize> {
        let (factor, ..) = self.clock?;
        self.time_at(control, varied).map(|_| factor)
    }

    /// The first place where both hold the clock's times as 32 bits.
    fn time_at(&self, control: &[u8], varied: &[u8]) -> Option<Chosen> {
        let (_, there, here) = self.clock?;
        if control.len() != varied.len() {
            return None;
        }
        let control = control.get(..MOST).unwrap_or(control);
        let mut pairs = control.windows(4).zip(varied.windows(4)).enumerate();
        pairs.find_map(|(at, (a, b))| {
            let (a, b): (&[u8; 4], &[u8; 4]) = (a.first_chunk()?, b.first_chunk()?);
            let readings = [
                [u32::from_le_bytes(*a), u32::from_le_bytes(*b)],
                [u32::from_be_bytes(*a), u32::from_be_bytes(*b)],
            ];
            let near = |time: u32, start: i64| (start..start + DAY).contains(&i64::from(time));
            let mut readings = readings.into_iter();
            let times = readings.find(|[a, b]| near(*a, there) && near(*b, here))?;
            Some(Chosen::Time(at, times))
        })
    }
}

fn start(clock: Clock) -> Option<i64> {
    match clock {
        Clock::Host => None,
        Clock::Stepped { start } | Clock::Creeping { start } | Clock::Running { start } => {
            Some(start)
        }
    }
}

/// A time as programs write it, and the day on either side of it.
fn dates(time: i64) -> Vec<String> {
    let mut texts = Vec::new();
    for day in [time - DAY, time, time + DAY] {
        if let Some(date) = chrono::DateTime::from_timestamp(day, 0) {
            let forms = [
                "%Y-%m-%d", "%Y%m%d", "%d %b %Y", "%b %d %Y", "%d/%m/%Y", "%m/%d/%Y",
            ];
            texts.extend(forms.map(|form| date.format(form).to_string()));
        }
    }
    // The first digits of the seconds since 1970: as far as they stay for about a day.
    for second in [time, time + DAY] {
        texts.push((second / 100_000).to_string());
    }
    texts.sort();
    texts.dedup();
    texts
}

/// The words of a setting that are unlikely to stand in bytes by chance.
fn texts(setting: &Setting) -> Vec<String> {
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    match setting {
        Setting::Timezone(text) | Setting::Hostname(text) | Setting::Domain(text) => {
            vec![text.clone()]
        }
        Setting::Locale(locale) => vec![locale.lang.clone()],
        Setting::BuildPath(place) => {
            let leaf = place.leaf.clone();
            leaf.into_iter().chain([path(&place.parent)]).collect()
        }
        Setting::User(UserIdentity::Other {
            uid,
            gid,
            name,
            group,
            gecos,
            ..
        }) => vec![
            name.clone(),
            group.clone(),
            gecos.clone(),
            uid.to_string(),
            gid.to_string(),
        ],
        Setting::SourceOwner(SourceOwner::Other {
            uid,
            gid,
            name,
            group,
        }) => vec![
            name.clone(),
            group.clone(),
            uid.to_string(),
            gid.to_string(),
        ],
        Setting::Home(home) => vec![path(home)],
        Setting::Variables(variables) => variables
            .iter()
            .flat_map(|(name, value)| [name.clone(), value.clone()])
            .collect(),
        Setting::ExecPath(directories) => directories.iter().map(|dir| path(dir)).collect(),
        Setting::Terminal(terminal) => vec![terminal.term.clone()],
        Setting::Kernel(Kernel::Named { release, version }) => {
            vec![release.clone(), version.clone()]
        }
        _ => Vec::new(),
    }
}

/// A word as programs rewrite it.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let plain = text.as_bytes();
    let mut forms = vec![plain.to_vec(), text.to_uppercase().into_bytes()];
    forms.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
    forms.push(
        plain
            .iter()
            .flat_map(|byte| format!("{byte:02x}").into_bytes())
            .collect(),
    );
    for shift in 0..3 {
        forms.push(base64(plain, shift));
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The characters of a base64 text (RFC 4648) that depend on these bytes alone, where they stand
/// `shift` bytes behind a multiple of three.
fn base64(bytes: &[u8], shift: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let skip = (3 - shift) % 3;
    let whole = bytes.get(skip..).unwrap_or_default().chunks_exact(3);
    whole
        .flat_map(|chunk| {
            let bits = chunk
                .iter()
                .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            [18, 12, 6, 0].map(|shift| bits >> shift & 63)
        })
        .filter_map(|index| ALPHABET.get(index).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(settings: &[(Setting, Setting)]) -> Marks {
        let mut marks = Marks {
            begins: [false; 256],
            tokens: BTreeMap::new(),
            clock: None,
            umask: None,
        };
        for (factor, (control, varied)) in settings.iter().enumerate() {
            marks.add(factor, varied, Some(control));
        }
        marks
    }

    fn hosts() -> Marks {
        let name = |name: &str| Setting::Hostname(name.into());
        marks(&[(name("ctrl-hostkivu"), name("vary-hostzoqa"))])
    }

    #[test]
    fn a_chosen_name_is_found_however_it_is_written() {
        for form in [
            "built on vary-hostzoqa.",
            "built on VARY-HOSTZOQA.",
            "v\0a\0r\0y\0-\0h\0o\0s\0t\0z\0o\0q\0a\0",
            "766172792d686f73747a6f7161",
            // base64 of "vary-hostzoqa", "x vary-hostzoqa" and "xxvary-hostzoqa"
            "dmFyeS1ob3N0em9xYQ==",
            "eCB2YXJ5LWhvc3R6b3Fh",
            "eHZhcnktaG9zdHpvcWE=",
        ] {
            let found = hosts().found(b"built on ctrl-hostkivu.", form.as_bytes());
            assert!(found.contains(&0), "{form}");
        }
        assert!(hosts().found(b"", b"built on ctrl-hostkivu.").is_empty());
    }

    #[test]
    fn what_the_control_holds_as_well_is_no_hint() {
        let same = b"vary-hostzoqa";
        assert!(hosts().found(same, same).is_empty());
    }

    #[test]
    fn times_are_found_as_numbers_dates_and_bytes() {
        let clock = |start| Setting::Clock(Clock::Stepped { start });
        let marks = marks(&[(clock(1_790_000_000), clock(1_830_000_000))]);
        assert!(marks.found(b"", b"t=1830000077").contains(&0));
        assert!(marks.found(b"", b"on 2027-12-28 at").contains(&0));
        assert!(marks.found(b"", b"t=1790000077").is_empty());
        let header = |time: u32| [b"ab".as_slice(), &time.to_le_bytes(), b"c"].concat();
        assert!(
            marks
                .found(&header(1_790_000_005), &header(1_830_000_005))
                .contains(&0)
        );
        assert!(marks.found(&header(5), &header(1_830_000_005)).is_empty());
    }

    #[test]
    fn the_place_of_a_chosen_value_is_found() {
        let control = b"Length 11 on ctrl-hostkivu";
        let place = hosts().place(control, b"Length 12 on vary-hostzoqa");
        assert_eq!(place, Some(Chosen::Word(13)));
        assert_eq!(hosts().place(control, b"Length 12 on ctrl-hostkivu"), None);
        let clock = |start| Setting::Clock(Clock::Stepped { start });
        let marks = marks(&[(clock(1_790_000_000), clock(1_830_000_000))]);
        let header = |sum: u8, time: u32| [[sum].as_slice(), &time.to_be_bytes()].concat();
        let times = [1_790_000_005, 1_830_000_005];
        assert_eq!(
            marks.place(&header(1, times[0]), &header(2, times[1])),
            Some(Chosen::Time(1, times))
        );
    }

    #[test]
    fn a_mode_without_the_bits_of_the_umask_is_a_hint() {
        let marks = marks(&[(Setting::Umask(0o022), Setting::Umask(0o077))]);
        let text = |mode: &str| Value::Text(mode.into());
        assert!(marks.in_values(&text("0644"), &text("0600")).contains(&0));
        assert!(marks.in_values(&text("0644"), &text("0640")).is_empty());
    }
}
