//! Records in an order, however many: up to a size in memory, beyond it in sorted runs in a spool that
//! are merged once.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::io::{BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};

use super::context::Context;
use super::error::Error;
use super::spool::Spool;

/// What is kept in memory.
const MEMORY: usize = 16 << 20;
/// What one run reads ahead while runs are merged.
const AHEAD: usize = 32 << 10;
/// The longest record: names and records of a member have their own limits.
const RECORD: u64 = 8 << 20;

/// What can be sorted.
pub(super) trait Record: Sized {
    /// Appends all of it to bytes.
    fn encode(&self, to: &mut Vec<u8>);
    /// Reads what `encode` wrote.
    fn decode(bytes: &[u8]) -> Option<Self>;
    /// About how many bytes it takes in memory.
    fn weight(&self) -> usize;
}

/// An order of records.
pub(super) type Order<R> = fn(&R, &R) -> Ordering;

/// Takes records in.
pub(super) struct Sorter<R> {
    order: Order<R>,
    held: Vec<R>,
    weight: usize,
    /// What fits into memory.
    memory: usize,
    spool: Option<Box<dyn Spool>>,
    /// Where the runs end in the spool.
    ends: Vec<u64>,
}

/// Sorted records, to be gone through as often as needed.
pub(super) enum Sorted<R> {
    /// In memory.
    Held(Vec<R>),
    /// In a spool, in order.
    Spooled(Box<dyn Spool>),
}

impl<R: Record> Sorter<R> {
    pub(super) fn new(order: Order<R>) -> Self {
        Self::within(order, MEMORY)
    }

    /// With room for `memory` bytes.
    fn within(order: Order<R>, memory: usize) -> Self {
        Self {
            order,
            held: Vec::new(),
            weight: 0,
            memory,
            spool: None,
            ends: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, record: R, context: &Context<'_>) -> Result<(), Error> {
        self.weight += record.weight();
        self.held.push(record);
        if self.weight > self.memory {
            self.spill(context)?;
        }
        Ok(())
    }

    /// Writes what is held as a sorted run.
    fn spill(&mut self, context: &Context<'_>) -> Result<(), Error> {
        self.held.sort_by(self.order);
        if self.spool.is_none() {
            self.spool = Some(context.spool()?);
        }
        if let Some(spool) = &mut self.spool {
            let mut out = BufWriter::new(&mut *spool);
            for record in self.held.drain(..) {
                write(&record, &mut out)?;
            }
            out.flush().map_err(Error::writing)?;
            drop(out);
            self.ends
                .push(spool.stream_position().map_err(Error::writing)?);
        }
        self.weight = 0;
        Ok(())
    }

    pub(super) fn finish(mut self, context: &Context<'_>) -> Result<Sorted<R>, Error> {
        if self.spool.is_none() {
            self.held.sort_by(self.order);
            return Ok(Sorted::Held(self.held));
        }
        self.spill(context)?;
        let mut merged = context.spool()?;
        if let Some(spool) = &mut self.spool {
            merge(spool, &self.ends, self.order, &mut merged)?;
        }
        Ok(Sorted::Spooled(merged))
    }
}

/// A run that is read: where it goes on, where it ends, what was read ahead.
struct Run {
    next: u64,
    end: u64,
    ahead: Vec<u8>,
    at: usize,
}

impl Run {
    /// The next record of the run.
    fn take<R: Record>(&mut self, spool: &mut dyn Spool) -> Result<Option<R>, Error> {
        let mut reader = RunReader { run: self, spool };
        read(&mut reader)
    }
}

struct RunReader<'r> {
    run: &'r mut Run,
    spool: &'r mut dyn Spool,
}

impl Read for RunReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let run = &mut *self.run;
        if run.at == run.ahead.len() {
            let length = usize::try_from(run.end - run.next).map_or(AHEAD, |left| left.min(AHEAD));
            run.ahead.resize(length, 0);
            run.at = 0;
            self.spool.seek(SeekFrom::Start(run.next))?;
            self.spool.read_exact(&mut run.ahead)?;
            run.next += length as u64;
        }
        let count = run.ahead.get(run.at..).unwrap_or_default().read(out)?;
        run.at += count;
        Ok(count)
    }
}

/// The first record of a run, for the heap.
struct Head<R> {
    record: R,
    run: usize,
    order: Order<R>,
}

impl<R> Ord for Head<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.order)(&self.record, &other.record).then(self.run.cmp(&other.run))
    }
}

impl<R> PartialOrd for Head<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R> PartialEq for Head<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R> Eq for Head<R> {}

fn merge<R: Record>(
    spool: &mut Box<dyn Spool>,
    ends: &[u64],
    order: Order<R>,
    merged: &mut dyn Spool,
) -> Result<(), Error> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let mut runs: Vec<Run> = starts
        .zip(ends)
        .map(|(next, end)| Run {
            next,
            end: *end,
            ahead: Vec::new(),
            at: 0,
        })
        .collect();
    let mut heads = BinaryHeap::new();
    for (run, state) in runs.iter_mut().enumerate() {
        let record = state.take(spool.as_mut())?;
        heads.extend(record.map(|record| Reverse(Head { record, run, order })));
    }
    let mut out = BufWriter::new(merged);
    while let Some(Reverse(Head { record, run, .. })) = heads.pop() {
        write(&record, &mut out)?;
        if let Some(state) = runs.get_mut(run) {
            let record = state.take(spool.as_mut())?;
            heads.extend(record.map(|record| Reverse(Head { record, run, order })));
        }
    }
    out.flush().map_err(Error::writing)
}

/// A length and the record.
fn write<R: Record>(record: &R, out: &mut dyn Write) -> Result<(), Error> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    let length = (bytes.len() as u64).to_le_bytes();
    out.write_all(&length)
        .and_then(|()| out.write_all(&bytes))
        .map_err(Error::writing)
}

fn read<R: Record>(source: &mut dyn Read) -> Result<Option<R>, Error> {
    let mut length = [0; 8];
    let begun = source.read(&mut length).map_err(Error::reading)?;
    if begun == 0 {
        return Ok(None);
    }
    source
        .read_exact(length.get_mut(begun..).unwrap_or_default())
        .map_err(Error::reading)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    source
        .take(length.min(RECORD))
        .read_to_end(&mut bytes)
        .map_err(Error::reading)?;
    let record = R::decode(&bytes).filter(|_| bytes.len() as u64 == length);
    record
        .ok_or_else(|| Error::broken("the temporary file of the index changed"))
        .map(Some)
}

impl<R: Record> Sorted<R> {
    /// Goes through all of them, in order.
    pub(super) fn each(
        &mut self,
        mut visit: impl FnMut(&R) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self {
            Self::Held(records) => records.iter().try_for_each(visit),
            Self::Spooled(spool) => {
                super::spool::seek(spool, 0)?;
                let mut source = BufReader::new(spool);
                while let Some(record) = read(&mut source)? {
                    visit(&record)?;
                }
                Ok(())
            }
        }
    }
}

/// Numbers and byte strings, one behind the other.
pub(super) struct Packer<'b>(pub(super) &'b mut Vec<u8>);

impl Packer<'_> {
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }
}

/// Takes apart what a [`Packer`] put together.
pub(super) struct Unpacker<'b>(pub(super) &'b [u8]);

impl Unpacker<'_> {
    pub(super) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalize::options::{Options, Report};
    use crate::normalize::spool::Spools;

    struct InMemory;

    impl Spools for InMemory {
        fn spool(&self) -> std::io::Result<Box<dyn Spool>> {
            Ok(Box::new(std::io::Cursor::new(Vec::new())))
        }
    }

    impl Record for u64 {
        fn encode(&self, to: &mut Vec<u8>) {
            Packer(to).number(*self);
        }
        fn decode(bytes: &[u8]) -> Option<Self> {
            Unpacker(bytes).number()
        }
        fn weight(&self) -> usize {
            8
        }
    }

    #[test]
    fn records_come_sorted_whether_they_fit_into_memory_or_not() {
        let options = Options::default();
        let context = Context {
            options: &options,
            spools: &InMemory,
            report: Report::default(),
            exchanged: false,
            unpacked: 0,
        };
        for memory in [0, 100, 80_000, usize::MAX] {
            let mut sorter = Sorter::within(u64::cmp, memory);
            for index in 0..5_000_u64 {
                sorter.push(index * 7919 % 5003, &context).unwrap();
            }
            let mut records = sorter.finish(&context).unwrap();
            for _ in 0..2 {
                let mut all = Vec::new();
                records
                    .each(|record| {
                        all.push(*record);
                        Ok(())
                    })
                    .unwrap();
                assert_eq!(all.len(), 5000);
                assert!(all.is_sorted(), "with {memory} bytes");
            }
        }
    }
}
