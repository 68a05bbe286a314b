//! Two snapshots -> which elements differ: `compare` decides, for every element that either of
//! them holds, whether the second agrees with the first; `pairs` tells the second in the names of
//! the first, where names differ in digests; `holds` tells contents that only hold names and
//! digests of others; `excerpt` shows where two contents part, `evidence` everywhere that
//! they do;
//! `addresses` tells the positions that hold memory addresses. How a difference came about is not
//! asked here.

mod addresses;
mod compare;
mod differences;
mod evidence;
mod excerpt;
mod holds;
mod lines;
mod pairs;
mod passes;
mod program;
mod ranges;
mod sections;
mod tree;

pub use addresses::{Addresses, Moves, addresses, may_hold_addresses};
pub use compare::{Comparison, Judged, Seen, compare, enclosing};
pub use differences::{Compared, differences};
pub use evidence::evidence;
pub use excerpt::{excerpt, excerpt_at};
pub use holds::{Changes, Source};
pub use pairs::paired;
pub use passes::removed_by;
