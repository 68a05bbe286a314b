//! What a session says while it runs, on standard error: one line that moves where a person watches,
//! a line per trial with `-v`, a line a minute otherwise.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::model::{TrialId, TrialKind, TrialResult};
use crate::session::{Left, Progress};

use super::screen::{Stream, say};

/// Where nobody watches, so often it is said how far it is.
const WITHOUT_TERMINAL: Duration = Duration::from_mins(1);
/// Where a person watches, so often the line moves.
const AT_TERMINAL: Duration = Duration::from_secs(1);

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// A line a minute.
    Sparse,
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
    shared: Arc<Shared>,
    ticker: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    state: Mutex<State>,
    ended: Condvar,
}

/// What is under way.
#[derive(Debug)]
struct State {
    began: Instant,
    /// What it is, and since when.
    now: Option<(String, Instant)>,
    /// A live line is on the screen.
    shown: bool,
    ended: bool,
}

impl State {
    /// Removes the live line.
    fn wipe(&mut self) {
        if self.shown {
            replace("");
            self.shown = false;
        }
    }
}

impl Reporter {
    /// The reporter that the options and the terminal ask for.
    pub(super) fn new(verbose: bool) -> Self {
        let manner = match (verbose, Stream::Err.columns()) {
            (true, _) => Manner::Lines,
            (false, Some(columns)) => Manner::Live(columns),
            (false, None) => Manner::Sparse,
        };
        let shared = Arc::new(Shared {
            manner,
            state: Mutex::new(State {
                began: Instant::now(),
                now: None,
                shown: false,
                ended: false,
            }),
            ended: Condvar::new(),
        });
        let period = match manner {
            Manner::Lines => None,
            Manner::Live(_) => Some(AT_TERMINAL),
            Manner::Sparse => Some(WITHOUT_TERMINAL),
        };
        let ticker = period.map(|period| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.tick(period))
        });
        Self { shared, ticker }
    }

    /// Takes note of one event.
    pub(super) fn event(&mut self, event: &Progress) {
        if let Progress::Differs {
            decided,
            trial,
            varied,
            outputs,
        } = event
        {
            self.shared.lock().wipe();
            let verdict = if *decided { "not reproducible: " } else { "" };
            let differs = differs(*trial, varied, outputs);
            say(&format!("reprobe: {verdict}{differs}"));
        }
        if self.shared.manner == Manner::Lines {
            if let Some(line) = line(event) {
                say(&line);
            }
        } else if let Some(text) = live(event) {
            let mut state = self.shared.lock();
            state.now = Some((text, Instant::now()));
            self.shared.show(&mut state);
        }
    }

    /// Ends it, and removes the live line, before anything else is said.
    pub(super) fn clear(&mut self) {
        let mut state = self.shared.lock();
        state.ended = true;
        state.wipe();
        drop(state);
        self.shared.ended.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // A thread that panicked has nothing left to say.
            let _ = ticker.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says again and again how long it takes, until it has ended.
    fn tick(&self, period: Duration) {
        let mut state = self.lock();
        loop {
            let waited = self
                .ended
                .wait_timeout_while(state, period, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                return;
            }
            if self.manner == Manner::Sparse {
                let all = seconds(state.began.elapsed());
                if let Some((text, _)) = &state.now {
                    say(&format!("reprobe: after {all}: {text}"));
                }
            } else {
                self.show(&mut state);
            }
        }
    }

    /// Puts the live line on the screen.
    fn show(&self, state: &mut State) {
        if let (Manner::Live(columns), Some((text, since))) = (self.manner, &state.now) {
            let elapsed = since.elapsed();
            let text = if elapsed < AT_TERMINAL {
                text.clone()
            } else {
                // In front: the end of a long line is cut off.
                format!("{} {text}", seconds(elapsed))
            };
            replace(&cut(&text, columns));
            state.shown = true;
        }
    }
}

/// Whole seconds, and minutes where there are any.
fn seconds(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// `\r` goes to the line's start, `ESC [ K` clears to its end (ECMA-48, EL).
fn replace(text: &str) {
    // A terminal that does not take the line misses nothing else.
    let _ = Stream::Err.write(format!("\r\u{1b}[K{text}").as_bytes());
}

/// What is under way once this happened.
fn live(event: &Progress) -> Option<String> {
    match event {
        Progress::Planned { .. } => Some("the control: nothing varied".to_owned()),
        Progress::Started {
            trial,
            kind,
            varied,
            left,
        } => Some(format!(
            "[{}/{}] {}",
            trial.0 + 1,
            goal(trial.0 + 1, *left),
            started(*trial, *kind, varied)
        )),
        _ => None,
    }
}

/// Where a session that has begun so many trials is going.
fn goal(begun: u32, left: Left) -> String {
    match left {
        Left::Clean { same, .. } => format!("{}", begun + same),
        Left::Search(left) => format!("~{}+", begun + left),
        Left::AtMost(left) => format!("<={}", begun + left),
    }
}

fn more(left: Left) -> String {
    match left {
        Left::Clean { same, differs } => {
            format!("{same} more if nothing differs, else about {differs}")
        }
        Left::Search(0) => "then the causes".to_owned(),
        Left::Search(left) => format!("about {left} more, then the causes"),
        Left::AtMost(left) => format!("at most {left} more"),
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
        TrialKind::Remedy => "trying a remedy",
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
        "{}{more} {differ} {when} (trial {}); looking for the reasons",
        named.join(", "),
        trial.0
    )
}

/// What `-v` says of an event.
fn line(event: &Progress) -> Option<String> {
    match event {
        // A difference is said at once, whatever the manner.
        Progress::Differs { .. } => None,
        Progress::Planned { .. } => Some("the control is built".to_owned()),
        Progress::Started {
            trial,
            kind,
            varied,
            left,
        } => Some(format!(
            "{} ({})",
            started(*trial, *kind, varied),
            more(*left)
        )),
        Progress::Ended {
            trial,
            result,
            seconds,
            differing,
        } => {
            let result = match result {
                TrialResult::Built if *differing == 0 => "built, nothing differs".to_owned(),
                TrialResult::Built if *differing == 1 => "built, 1 element differs".to_owned(),
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
    fn one_element_differs_and_two_differ() {
        let ended = |differing| Progress::Ended {
            trial: TrialId(1),
            result: TrialResult::Built,
            seconds: 0.5,
            differing,
        };
        let said = |differing| line(&ended(differing)).unwrap();
        assert_eq!(said(1), "trial 1: built, 1 element differs, 0.50 s");
        assert_eq!(said(2), "trial 1: built, 2 elements differ, 0.50 s");
    }

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
            "a, b, c and 2 more differ with umask=077 (trial 1); looking \
             for the reasons"
        );
        assert_eq!(
            differs(TrialId(1), &words("a=1 b=1 c=1 d=1 e=1"), &words("out")),
            "out differs with 5 variations at once (trial 1); looking \
             for the reasons"
        );
    }

    #[test]
    fn lines_name_the_trial_and_what_it_varied() {
        let varied = vec!["umask=0077".to_owned(), "user=other".to_owned()];
        let started = |left| Progress::Started {
            trial: TrialId(4),
            kind: TrialKind::Search,
            varied: varied.clone(),
            left,
        };
        let clean = Left::Clean {
            same: 1,
            differs: 9,
        };
        for (left, more, place) in [
            (clean, "1 more if nothing differs, else about 9", "[5/6]"),
            (Left::Search(3), "about 3 more, then the causes", "[5/~8+]"),
            (Left::AtMost(3), "at most 3 more", "[5/<=8]"),
        ] {
            let what = "trial 4, searching: umask=0077 user=other";
            let event = started(left);
            assert_eq!(line(&event).unwrap(), format!("{what} ({more})"));
            assert_eq!(live(&event).unwrap(), format!("{place} {what}"));
        }
    }
}
