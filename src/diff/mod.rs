//! Two snapshots -> which elements differ: `compare` decides, for every element that either of
//! them holds, whether the second agrees with the first. How a difference came about is not asked
//! here.

mod compare;

pub use compare::{Comparison, Judged, Seen, compare, enclosing};
