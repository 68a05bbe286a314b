//! Who is offered the pages of the clock: programs that read it often, or that make stat calls.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::timeline::SECOND;
use super::tracee::lock;
use crate::sandbox::sys::tracee::clock;

/// After this many reads by one thread, its program gets the page.
const READS_BEFORE_MAPPING: u32 = 16;
/// How often a program is offered the page; one that cannot map it keeps asking.
const OFFERS: u32 = 4;

/// Reads since a program began, and when the latest bundle of them did, by thread.
#[derive(Debug, Default)]
pub(super) struct Offers(Mutex<BTreeMap<u32, (u32, i64)>>);

impl Offers {
    /// Another program begins in this thread.
    pub(super) fn forget(&self, tid: u32) {
        lock(&self.0).remove(&tid);
    }

    /// It has them.
    pub(super) fn are_taken(&self, tid: u32) {
        lock(&self.0).insert(tid, (u32::MAX, 0));
    }

    /// A program wants the pages for file times; one that cannot map them is offered them no more.
    pub(super) fn for_files(&self, tid: u32) -> bool {
        let mut reads = lock(&self.0);
        let (count, _) = reads.entry(tid).or_insert((0, 0));
        *count = count.saturating_add(READS_BEFORE_MAPPING);
        *count <= READS_BEFORE_MAPPING * OFFERS
    }

    /// A program reads the clock by a call.
    pub(super) fn for_reads(&self, tid: u32) -> bool {
        let mut reads = lock(&self.0);
        let now = clock(libc::CLOCK_MONOTONIC);
        let (count, since) = reads.entry(tid).or_insert((0, now));
        *count = count.saturating_add(1);
        let full = count.is_multiple_of(READS_BEFORE_MAPPING);
        // One that reads it now and then may wait for it, which must be seen.
        let often = full && now - std::mem::replace(since, now) < SECOND / 10;
        often && *count <= READS_BEFORE_MAPPING * OFFERS
    }
}
