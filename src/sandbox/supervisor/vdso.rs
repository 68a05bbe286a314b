//! A patched copy of a vDSO image, vdso(7): its clock functions jump to the hook, or are replaced
//! by plain system calls (stub) where they cannot. Pure: bytes in, bytes out.

use std::ops::Range;

use iced_x86::{BlockEncoder, BlockEncoderOptions, Decoder, DecoderOptions, InstructionBlock};

use crate::sandbox::sys::hook::{Hook, PROLOGUE};

const SHT_DYNSYM: u32 = 11;
/// `jmp rel32`.
pub(super) const JUMP: u8 = 0xe9;
pub(super) const JUMP_LENGTH: usize = 5;
/// Room for the ways of so many calls.
const WAYS: usize = 8;
/// Bytes of a way, at most.
pub(super) const WAY: usize = 32;

/// `mov rax, -ENOSYS; ret`: the C library then makes the system call itself.
const REFUSE: [u8; 8] = [0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3];

/// An image that cannot be patched: what was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unpatchable {
    /// Not an ELF image with dynamic symbols.
    #[error("the vDSO is no ELF image with symbols")]
    Foreign,
    /// The hook fits nowhere.
    #[error("the vDSO has no room for the clock hook")]
    NoRoom,
    /// The first instructions of a clock function cannot be moved.
    #[error("the vDSO's clock function begins with instructions that cannot be moved")]
    Prologue,
}

/// What stands in for the clock functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The clock functions as they are.
    Untouched,
    /// Plain system calls, which the supervisor sees one by one.
    Stub,
    /// Native code that reads a held clock from a page.
    Held,
    /// Native code that adds this many nanoseconds to a running clock.
    Running(i64),
}

/// A patched image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// The whole of it.
    pub(super) bytes: Vec<u8>,
    /// Where the address of the clock's pages belongs: for reads of the clock, and for file times.
    pub(super) page_slots: Option<[usize; 2]>,
    /// Code of ours that nothing changes: where it stands, the image is this one.
    pub(super) own: Range<usize>,
    /// The hook for calls, where there is room for it.
    pub(super) calls: Option<CallHook>,
    /// A place whose byte tells a patched image from a fresh one.
    pub(super) probe: usize,
}

/// Where an image answers calls of its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallHook {
    /// The function.
    pub(super) code: usize,
    /// Room for ways from the program's calls to it.
    pub(super) ways: Range<usize>,
}

/// The functions of a vDSO that matter, as offsets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Functions {
    clock_gettime: Option<usize>,
    clock_gettime64: Option<usize>,
    gettimeofday: Option<usize>,
    /// Bytes of that function.
    gettimeofday_size: usize,
    time: Option<usize>,
    getrandom: Option<usize>,
}

fn word(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    let value = field
        .iter()
        .rev()
        .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    usize::try_from(value).ok()
}

/// The dynamic symbols of a 32- or 64-bit image (elf(5)); a vDSO keeps its section headers.
fn functions(image: &[u8]) -> Option<Functions> {
    let wide = *image.get(4)? == 2;
    let (long, headers_at, size_at, entry) = if wide {
        (8, 40, 58, 24)
    } else {
        (4, 32, 46, 16)
    };
    let headers = word(image, headers_at, long)?;
    let header_size = word(image, size_at, 2)?;
    let header = |number: usize| headers + number * header_size;
    let field = |number, offset| word(image, header(number) + offset, long);
    let (offset_at, size_at, link_at) = if wide { (24, 32, 40) } else { (16, 20, 24) };
    let count = word(image, if wide { 60 } else { 48 }, 2)?;
    let symbols = (0..count)
        .find(|number| word(image, header(*number) + 4, 4) == usize::try_from(SHT_DYNSYM).ok())?;
    let names = word(image, header(symbols) + link_at, 4)?;
    let (start, size) = (field(symbols, offset_at)?, field(symbols, size_at)?);
    let names = field(names, offset_at)?;
    let mut found = Functions::default();
    for symbol in (start..start + size).step_by(entry) {
        let name = image.get(names + word(image, symbol, 4)?..)?;
        let value = word(image, symbol + if wide { 8 } else { 4 }, long);
        let end = name.iter().position(|byte| *byte == 0)?;
        match name.get(..end)? {
            b"__vdso_clock_gettime" => found.clock_gettime = value,
            b"__vdso_clock_gettime64" => found.clock_gettime64 = value,
            b"__vdso_gettimeofday" => {
                found.gettimeofday = value;
                let size = word(image, symbol + if wide { 16 } else { 8 }, long);
                found.gettimeofday_size = size.unwrap_or(0);
            }
            b"__vdso_time" => found.time = value,
            b"__vdso_getrandom" => found.getrandom = value,
            _ => {}
        }
    }
    Some(found)
}

/// The length of an image, section headers included, rounded to pages.
pub(super) fn length(start: &[u8]) -> Option<usize> {
    let wide = *start.get(4)? == 2;
    let headers = word(start, if wide { 40 } else { 32 }, if wide { 8 } else { 4 })?;
    let size = word(start, if wide { 58 } else { 46 }, 2)?;
    let count = word(start, if wide { 60 } else { 48 }, 2)?;
    Some((headers + size * count).next_multiple_of(4096))
}

/// Patches a 64-bit image. `random` also takes `getrandom` away.
pub(super) fn patch(
    original: &[u8],
    mode: Mode,
    random: bool,
    hook: Hook,
) -> Result<Image, Unpatchable> {
    let found = functions(original).ok_or(Unpatchable::Foreign)?;
    let mut image = Image {
        bytes: original.to_vec(),
        page_slots: None,
        own: 0..0,
        calls: None,
        probe: 0,
    };
    if random && let Some(at) = found.getrandom {
        image.put(at, &REFUSE)?;
        image.probe = at;
    }
    match mode {
        // If there is no room, every call is asked.
        Mode::Untouched => drop(image.hook_calls(original, hook)),
        Mode::Stub => {
            let calls = [
                (found.gettimeofday, 96),
                (found.time, 201),
                (found.clock_gettime, 228),
            ];
            for (at, number) in calls {
                let Some(at) = at else { continue };
                image.put(at, &stub64(number))?;
                image.probe = at;
            }
        }
        Mode::Held => image.hook(original, found, hook, [0, 0, 0, 0])?,
        Mode::Running(offset) => {
            let seconds = offset.div_euclid(super::timeline::SECOND);
            let nanoseconds = offset.rem_euclid(super::timeline::SECOND);
            image.hook(original, found, hook, [0, 1, seconds, nanoseconds])?;
        }
    }
    Ok(image)
}

/// Patches a 32-bit image: stubs for everything.
pub(super) fn patch32(original: &[u8]) -> Result<Image, Unpatchable> {
    let found = functions(original).ok_or(Unpatchable::Foreign)?;
    let mut image = Image {
        bytes: original.to_vec(),
        page_slots: None,
        own: 0..0,
        calls: None,
        probe: 0,
    };
    let calls = [
        (found.clock_gettime64, 403),
        (found.gettimeofday, 78),
        (found.time, 13),
        (found.clock_gettime, 265),
    ];
    for (at, number) in calls {
        let Some(at) = at else { continue };
        image.put(at, &stub32(number))?;
        image.probe = at;
    }
    Ok(image)
}

/// `mov eax, number; syscall; ret`.
fn stub64(number: u32) -> Vec<u8> {
    let [a, b, c, d] = number.to_le_bytes();
    vec![0xb8, a, b, c, d, 0x0f, 0x05, 0xc3]
}

/// `push ebx; mov eax, number; mov ebx, [esp+8]; mov ecx, [esp+12]; int 0x80; pop ebx; ret`.
fn stub32(number: u32) -> Vec<u8> {
    let [a, b, c, d] = number.to_le_bytes();
    let load = [0x8b, 0x5c, 0x24, 0x08, 0x8b, 0x4c, 0x24, 0x0c];
    let tail = [0xcd, 0x80, 0x5b, 0xc3];
    [&[0x53, 0xb8, a, b, c, d][..], &load, &tail].concat()
}

impl Image {
    fn put(&mut self, at: usize, bytes: &[u8]) -> Result<(), Unpatchable> {
        let place = self
            .bytes
            .get_mut(at..at + bytes.len())
            .ok_or(Unpatchable::NoRoom)?;
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn jump(&mut self, from: usize, to: usize) -> Result<(), Unpatchable> {
        let next = i64::try_from(from + JUMP_LENGTH).map_err(|_| Unpatchable::NoRoom)?;
        let target = i64::try_from(to).map_err(|_| Unpatchable::NoRoom)?;
        let distance = i32::try_from(target - next).map_err(|_| Unpatchable::NoRoom)?;
        let mut code = vec![JUMP];
        code.extend(distance.to_le_bytes());
        self.put(from, &code)
    }

    /// The call hook alone. Where the clock's would be, there is room for ways.
    fn hook_calls(&mut self, original: &[u8], hook: Hook) -> Result<(), Unpatchable> {
        let at = room(original, hook.bytes.len()).ok_or(Unpatchable::NoRoom)?;
        let start = at.next_multiple_of(WAY);
        let ways = start..start + WAYS * WAY;
        if ways.end > at + hook.data {
            return Err(Unpatchable::NoRoom);
        }
        self.put(at, hook.bytes)?;
        self.put(at, &vec![0; hook.data])?;
        self.own = at + hook.call..at + hook.bytes.len();
        self.calls = Some(CallHook {
            code: at + hook.call,
            ways,
        });
        Ok(())
    }

    fn hook(
        &mut self,
        original: &[u8],
        found: Functions,
        hook: Hook,
        data: [i64; 4],
    ) -> Result<(), Unpatchable> {
        let clock = found.clock_gettime.ok_or(Unpatchable::Foreign)?;
        let clock_alone = hook.bytes.get(..hook.call).ok_or(Unpatchable::Foreign)?;
        let whole = room(original, hook.bytes.len()).zip(room_of_dead(found));
        let at = if let Some((at, ways)) = whole {
            self.put(at, hook.bytes)?;
            self.put(ways.start, &[0; WAYS * WAY])?;
            self.calls = Some(CallHook {
                code: at + hook.call,
                ways,
            });
            at
        } else {
            let at = room(original, clock_alone.len()).ok_or(Unpatchable::NoRoom)?;
            self.put(at, clock_alone)?;
            at
        };
        let (moved, next) = relocate(original, clock, at)?;
        self.put(at, &moved)?;
        self.jump(at + moved.len(), next)?;
        self.jump(clock, at + hook.clock_gettime)?;
        if let Some(from) = found.gettimeofday {
            self.jump(from, at + hook.gettimeofday)?;
        }
        if let Some(from) = found.time {
            self.jump(from, at + hook.time)?;
        }
        for (number, value) in data.iter().enumerate() {
            self.put(at + hook.data + 8 * number, &value.to_le_bytes())?;
        }
        self.own = at..at + hook.data;
        self.page_slots = Some([0, 4].map(|word| at + hook.data + 8 * word));
        self.probe = clock;
        Ok(())
    }
}

/// The zeros after everything else, to the end of the last page.
fn room(image: &[u8], length: usize) -> Option<usize> {
    let used = image.iter().rposition(|byte| *byte != 0)? + 1;
    // The last section header may end in zeros that count.
    let start = used.max(sections_end(image)?).next_multiple_of(16);
    (start + length <= image.len()).then_some(start)
}

/// Where the table of section headers ends: `e_shoff`, `e_shentsize` and `e_shnum` of elf(5).
fn sections_end(image: &[u8]) -> Option<usize> {
    let begin = u64::from_le_bytes(*image.get(40..)?.first_chunk()?);
    let short = |at: usize| {
        Some(usize::from(u16::from_le_bytes(
            *image.get(at..)?.first_chunk()?,
        )))
    };
    usize::try_from(begin)
        .ok()?
        .checked_add(short(58)? * short(60)?)
}

/// The code that nobody reaches any more, since its function begins with a jump.
fn room_of_dead(found: Functions) -> Option<Range<usize>> {
    let function = found.gettimeofday?;
    let start = (function + JUMP_LENGTH).next_multiple_of(WAY);
    let ways = start..start + WAYS * WAY;
    (ways.end <= function + found.gettimeofday_size).then_some(ways)
}

/// The first instructions at `from`, at least a jump long, as they read at `to`; and where the
/// next one stands.
fn relocate(image: &[u8], from: usize, to: usize) -> Result<(Vec<u8>, usize), Unpatchable> {
    let code = image.get(from..).ok_or(Unpatchable::Prologue)?;
    let mut decoder = Decoder::with_ip(64, code, from as u64, DecoderOptions::NONE);
    let mut instructions = Vec::new();
    while decoder.position() < JUMP_LENGTH {
        let instruction = decoder.decode();
        if instruction.is_invalid() || instruction.flow_control() != iced_x86::FlowControl::Next {
            return Err(Unpatchable::Prologue);
        }
        instructions.push(instruction);
    }
    let next = from + decoder.position();
    let block = InstructionBlock::new(&instructions, to as u64);
    let encoded = BlockEncoder::encode(64, block, BlockEncoderOptions::NONE)
        .map_err(|_| Unpatchable::Prologue)?;
    if encoded.code_buffer.len() + JUMP_LENGTH > PROLOGUE {
        return Err(Unpatchable::Prologue);
    }
    Ok((encoded.code_buffer, next))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::sys::hook::hook;
    use std::os::unix::fs::FileExt;

    /// This machine's own image.
    fn own() -> Vec<u8> {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
        let (start, rest) = line.split_once('-').unwrap();
        let end = rest.split_once(' ').unwrap().0;
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(&mut bytes, start).unwrap();
        bytes
    }

    #[test]
    fn this_machines_image_takes_the_hook() {
        let original = own();
        let image = patch(&original, Mode::Held, true, hook()).unwrap();
        assert_eq!(image.bytes.len(), original.len());
        assert_eq!(length(&original), Some(original.len()));
        assert_eq!(image.bytes[image.probe], JUMP);
        assert_ne!(original[image.probe], JUMP);
        let [slot, other] = image.page_slots.unwrap();
        assert_eq!(image.bytes[slot..slot + 40], [0; 40]);
        assert_eq!(other, slot + 32);
        let ways = image.calls.unwrap().ways;
        assert!(image.bytes[ways].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_running_clock_stands_in_the_image() {
        let image = patch(&own(), Mode::Running(-1), false, hook()).unwrap();
        let [slot, _] = image.page_slots.unwrap();
        let read = |at: usize| i64::from_le_bytes(*image.bytes[slot + at..].first_chunk().unwrap());
        assert_eq!(
            [read(0), read(8), read(16), read(24)],
            [0, 1, -1, 999_999_999]
        );
    }

    #[test]
    fn a_stub_is_a_plain_call() {
        let image = patch(&own(), Mode::Stub, false, hook()).unwrap();
        assert_eq!(image.bytes[image.probe..image.probe + 8], stub64(228));
        assert_eq!((image.page_slots, image.calls), (None, None));
    }

    #[test]
    fn an_image_without_room_or_with_foreign_bytes_is_refused() {
        let mut full = own();
        *full.last_mut().unwrap() = 1;
        assert_eq!(
            patch(&full, Mode::Held, false, hook()),
            Err(Unpatchable::NoRoom)
        );
        for bytes in [&b""[..], b"\x7fELF", &[0xff; 8192]] {
            assert_eq!(
                patch(bytes, Mode::Held, false, hook()),
                Err(Unpatchable::Foreign)
            );
            assert_eq!(patch32(bytes), Err(Unpatchable::Foreign));
        }
    }

    #[test]
    fn where_the_whole_does_not_fit_the_clock_alone_is_hooked() {
        let (mut tight, hook) = (own(), hook());
        let used = room(&tight, 0).unwrap();
        tight.truncate(used + hook.call);
        let image = patch(&tight, Mode::Held, false, hook).unwrap();
        assert!(image.page_slots.is_some() && image.calls.is_none());
    }

    #[test]
    fn a_prologue_that_jumps_is_not_moved() {
        assert_eq!(
            relocate(&[0xeb, 0x10, 0x90, 0x90, 0x90], 0, 64),
            Err(Unpatchable::Prologue)
        );
        let (moved, next) = relocate(&[0x55, 0x48, 0x89, 0xe5, 0x41, 0x56, 0x90], 0, 64).unwrap();
        assert_eq!(
            (moved.as_slice(), next),
            (&[0x55, 0x48, 0x89, 0xe5, 0x41, 0x56][..], 6)
        );
    }
}
