//! `reprobe diff`: two files or directories compared, without building anything.

use super::args::DiffArgs;
use super::destination::Destination;
use super::exit::{Exit, Failure};
use super::screen::Stream;
use crate::diff::Judged;
use crate::model::difference::Sameness;
use crate::pair;
use crate::report;

/// Compares, and says what differs.
pub(super) fn run(args: &DiffArgs) -> Result<Exit, Failure> {
    let json = args.json.as_deref().map(Destination::open).transpose()?;
    let judged = Judged {
        metadata: args.metadata,
    };
    let found = pair::differences(&args.first, &args.second, judged)
        .map_err(|error| Failure::usage(&error))?;
    let stream = match &json {
        Some(json) if json.is_standard() => None,
        _ => Some(Stream::Out),
    };
    if let Some(json) = json {
        json.write(&report::json::render(&found))?;
    }
    if let Some(stream) = stream {
        let page = report::terminal::render_pair(&found, stream.layout());
        stream.write(page.as_bytes())?;
    }
    Ok(match found.verdict {
        Sameness::Identical => Exit::Success,
        Sameness::EqualWhenNormalised | Sameness::Different => Exit::Differs,
        Sameness::Inconclusive => Exit::Usage,
    })
}
