//! What the probe asks a build, and what its answers say of the supervisor's reach.

use std::ops::Range;

use crate::model::Need;

/// A clock that no host has: 2100-01-01.
pub(super) const FAR: i64 = 4_102_444_800;

/// What a build is asked to say, one line each; then the entries of its directory. Programs that
/// read the clock, or look at files, often answer themselves in the end: they must say the same then.
pub(super) const QUESTIONS: &str = "date +%s; \
    all=$(yes now | head -n 64 | date -f - +%s 2>&- | uniq); echo ${all:-$(date +%s)}; \
    touch new; stat -Lc %Y new \"$PWD/new\" - <new; \
    echo $(stat -Lc %Y.%i new new new new new new new new | uniq); \
    uname -r; od -An -N8 -tx8 /dev/urandom; stat -c %i a; echo $(stat -c %u a . new); \
    ls -1U; true";

/// The owner of the sources, who builds nothing.
pub(super) const OWNER: u32 = 4_567;

/// The name of a kernel that no host has.
pub(super) const RELEASE: &str = "9.9.9-probe";

/// What one build said to [`QUESTIONS`].
pub(super) struct Answers {
    lines: Vec<String>,
}

impl Answers {
    pub(super) fn new(text: &str) -> Self {
        Self {
            lines: text.lines().map(|line| line.trim().to_owned()).collect(),
        }
    }

    fn line(&self, number: usize) -> Option<&str> {
        self.lines.get(number).map(String::as_str)
    }

    /// Whether a line is a time of ours, and nothing else but perhaps a number behind it.
    fn is_far(&self, number: usize) -> bool {
        let line = self.line(number).unwrap_or_default();
        let (time, more) = line.split_once('.').unwrap_or((line, "0"));
        let time = time.parse::<i64>().ok();
        time.is_some_and(|time| (FAR..FAR + 60).contains(&time)) && more.parse::<u64>().is_ok()
    }

    /// What of all that was asked for arrived.
    pub(super) fn arrived(&self, other: &Self) -> [(Need, bool); 7] {
        let same = |number| self.line(number).is_some() && self.line(number) == other.line(number);
        let differs = |number| {
            self.line(number)
                .is_some_and(|line| other.line(number).is_some_and(|other| other != line))
        };
        let far = |mut numbers: Range<usize>| {
            numbers.all(|number| self.is_far(number) && other.is_far(number))
        };
        let entries = self.lines.get(10..).unwrap_or_default();
        let reversed = other.lines.get(10..).unwrap_or_default().iter().rev();
        [
            (Need::ClockHook, far(0..2)),
            // By name, by path and by descriptor, which are looked up in other ways; and often.
            (Need::FileTimes, far(2..6)),
            (Need::KernelNames, self.line(6) == Some(RELEASE) && same(6)),
            (Need::RandomBytes, same(7)),
            (Need::InodeNumbers, differs(8) && differs(5)),
            (
                Need::SourceOwners,
                self.line(9).is_some_and(|line| {
                    let own = line.strip_prefix(&format!("{OWNER} {OWNER} "));
                    own.is_some_and(|own| own != OWNER.to_string())
                }),
            ),
            (
                Need::DirectoryEntries,
                entries.len() == 4 && entries.iter().eq(reversed),
            ),
        ]
    }
}
