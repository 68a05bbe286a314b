//! What a session says while it runs, on standard error: one replaced line where a person watches,
//! a line per trial with `-v`, nothing otherwise.

use crate::model::{TrialId, TrialKind, TrialResult};
use crate::session::Progress;

use super::screen::{Stream, say};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Nothing.
    Silent,
    /// One line, replaced, of at most so many columns.
    Live(usize),
    /// A line for everything.
    Lines,
}

/// So many outputs are named.
const NAMED: usize = 3;

/// Says what happens.
#[derive(Debug)]
pub(super) struct Reporter {
    manner: Manner,
    shown: bool,
}

impl Reporter {
    /// The reporter that the options and the terminal ask for.
    pub(super) fn new(verbose: bool) -> Self {
        let manner = match (verbose, Stream::Err.columns()) {
            (true, _) => Manner::Lines,
            (false, Some(columns)) => Manner::Live(columns),
            (false, None) => Manner::Silent,
        };
        Self {
            manner,
            shown: false,
        }
    }

    /// Takes note of one event.
    pub(super) fn event(&mut self, event: &Progress) {
        if let Progress::Differs {
            trial,
            varied,
            outputs,
        } = event
        {
            self.clear();
            say(&differs(*trial, varied, outputs));
        }
        match self.manner {
            Manner::Silent => {}
            Manner::Lines => line(event).iter().for_each(|line| say(line)),
            Manner::Live(columns) => {
                if let Some(text) = Self::live(event) {
                    self.replace(&cut(&text, columns));
                }
            }
        }
    }

    /// Removes the live line, before anything else is said.
    pub(super) fn clear(&mut self) {
        if self.shown {
            self.replace("");
            self.shown = false;
        }
    }

    fn live(event: &Progress) -> Option<String> {
        match event {
            Progress::Started {
                trial,
                kind,
                varied,
                left,
            } => Some(format!(
                "[{}/~{}] {}",
                trial.0 + 1,
                trial.0 + 1 + left,
                started(*trial, *kind, varied)
            )),
            _ => None,
        }
    }

    /// `\r` goes to the line's start, `ESC [ K` clears to its end (ECMA-48, EL).
    fn replace(&mut self, text: &str) {
        self.shown = true;
        // A terminal that does not take the line misses nothing else.
        let _ = Stream::Err.write(format!("\r\u{1b}[K{text}").as_bytes());
    }
}

/// Leaves the last column free: some terminals wrap when it is written.
fn cut(text: &str, columns: usize) -> String {
    let room = columns.saturating_sub(1);
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
    short.push('…');
    short
}

fn started(trial: TrialId, kind: TrialKind, varied: &[String]) -> String {
    let kind = match kind {
        TrialKind::Control => "the control",
        TrialKind::Repeat => "a repeat",
        TrialKind::Search => "searching",
        TrialKind::Certificate => "proving",
        TrialKind::Location => "locating",
    };
    let varied = match varied {
        [] => "nothing varied".to_owned(),
        varied => varied.join(" "),
    };
    format!("trial {}, {kind}: {varied}", trial.0)
}

/// The first difference, which decides the verdict.
fn differs(trial: TrialId, varied: &[String], outputs: &[String]) -> String {
    let more = match outputs.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named: Vec<&str> = outputs.iter().take(NAMED).map(String::as_str).collect();
    let differ = if outputs.len() == 1 {
        "differs"
    } else {
        "differ"
    };
    let when = match varied.len() {
        0 => "with nothing varied".to_owned(),
        1..=4 => format!("with {}", varied.join(" ")),
        several => format!("with {several} variations at once"),
    };
    format!(
        "reprobe: not reproducible: {}{more} {differ} {when} (trial {}); looking for the reasons",
        named.join(", "),
        trial.0
    )
}

/// What `-v` says of an event.
fn line(event: &Progress) -> Option<String> {
    match event {
        // A difference is said at once, whatever the manner.
        Progress::Planned { .. } | Progress::Differs { .. } => None,
        Progress::Resumed { trials } => Some(format!("{trials} trials had ended before")),
        Progress::Started {
            trial,
            kind,
            varied,
            left,
        } => Some(format!(
            "{} (about {left} more)",
            started(*trial, *kind, varied)
        )),
        Progress::Ended {
            trial,
            result,
            seconds,
            differing,
        } => {
            let result = match result {
                TrialResult::Built if *differing == 0 => "built, nothing differs".to_owned(),
                TrialResult::Built => format!("built, {differing} elements differ"),
                TrialResult::Failed => "failed".to_owned(),
                TrialResult::TimedOut => "timed out".to_owned(),
            };
            Some(format!("trial {}: {result}, {seconds:.2} s", trial.0))
        }
        Progress::Note { text } => Some(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_line_fits_the_terminal() {
        assert_eq!(cut("short", 20), "short");
        assert_eq!(cut("0123456789", 8), "012345…");
    }

    #[test]
    fn the_first_difference_names_the_outputs_and_what_was_varied() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            differs(TrialId(1), &words("umask=077"), &words("a b c d e")),
            "reprobe: not reproducible: a, b, c and 2 more differ with umask=077 (trial 1); looking \
             for the reasons"
        );
        assert_eq!(
            differs(TrialId(1), &words("a=1 b=1 c=1 d=1 e=1"), &words("out")),
            "reprobe: not reproducible: out differs with 5 variations at once (trial 1); looking \
             for the reasons"
        );
    }

    #[test]
    fn lines_name_the_trial_and_what_it_varied() {
        let varied = vec!["umask=0077".to_owned(), "user=other".to_owned()];
        let event = Progress::Started {
            trial: TrialId(4),
            kind: TrialKind::Search,
            varied,
            left: 3,
        };
        assert_eq!(
            line(&event).unwrap(),
            "trial 4, searching: umask=0077 user=other (about 3 more)"
        );
    }
}
