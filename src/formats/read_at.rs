//! Bytes that can be read at any place: in memory, or in a file that others open.

use std::io;

/// Bytes with a known number, read by their offset.
pub trait ReadAt {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `out` with the bytes from `at` on; the number of those that there are. Fewer than fit
    /// only at the end.
    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(at, out)
    }
}

/// The bytes from `at` on, `length` of them or as many as there are.
pub fn part(source: &(impl ReadAt + ?Sized), at: u64, length: usize) -> io::Result<Vec<u8>> {
    let left = source.size().saturating_sub(at);
    let length = usize::try_from(left).map_or(length, |left| left.min(length));
    let mut bytes = vec![0; length];
    let count = source.read_at(at, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}
