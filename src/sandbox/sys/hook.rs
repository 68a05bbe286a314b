//! The code that stands in for the clock functions of a vDSO, as bytes that are copied into the
//! image of another process. It never runs here.
//!
//! The layout is one block: displaced prologue, functions, data. Every reference inside it is
//! relative to the instruction, so that it runs wherever it is put. Data: the address of the
//! page that holds the clock (0 until there is one), whether the clock runs, and what a running
//! clock adds.

/// Room for the displaced instructions of the original and the jump back.
pub(in crate::sandbox) const PROLOGUE: usize = 48;
/// Third argument of a clock read from here: tell apart from any other caller's.
pub(in crate::sandbox) const READ: u64 = 0x7265_7072_6f62_6501;
/// Third argument when the page has been mapped; the fourth is its address.
pub(in crate::sandbox) const MAPPED: u64 = 0x7265_7072_6f62_6502;

core::arch::global_asm!(
    ".pushsection .rodata.reprobe_hook,\"a\",@progbits",
    ".balign 16",
    ".globl reprobe_hook_start",
    ".hidden reprobe_hook_start",
    "reprobe_hook_start:",
    ".skip {prologue}, 0xcc",
    // int clock_gettime(clockid edi, struct timespec *rsi)
    ".balign 16",
    "reprobe_hook_clock:",
    "test edi, edi",
    "jz 2f",
    "cmp edi, 5",
    "je 2f",
    "cmp edi, 11",
    "jne reprobe_hook_start",
    "2:",
    "cmp qword ptr [rip + reprobe_hook_runs], 0",
    "jne 7f",
    "mov rax, [rip + reprobe_hook_page]",
    "test rax, rax",
    "jz 5f",
    "cmp qword ptr [rax + 8], -1",
    "jne 4f",
    // The clock stands at [rax].
    "3:",
    "mov rax, [rax]",
    "xor edx, edx",
    "mov ecx, 1000000000",
    "div rcx",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "xor eax, eax",
    "ret",
    // A step is due at the host's time [rax + 8]: has that come?
    "4:",
    "push rdi",
    "push rsi",
    "push rax",
    "sub rsp, 16",
    "xor edi, edi",
    "mov rsi, rsp",
    "call reprobe_hook_start",
    "mov r8, [rsp]",
    "imul r8, r8, 1000000000",
    "add r8, [rsp + 8]",
    "add rsp, 16",
    "pop rax",
    "pop rsi",
    "pop rdi",
    "cmp r8, [rax + 8]",
    "jb 3b",
    // Ask the supervisor; a positive answer is a descriptor of the page, plus one.
    "5:",
    "mov eax, 228",
    "movabs rdx, {read}",
    "syscall",
    "test eax, eax",
    "jg 6f",
    "ret",
    "6:",
    "push rdi",
    "push rsi",
    "push rbx",
    "lea ebx, [rax - 1]",
    "xor edi, edi",
    "mov esi, 4096",
    "mov edx, 1",
    "mov r10d, 1",
    "mov r8d, ebx",
    "xor r9d, r9d",
    "mov eax, 9",
    "syscall",
    "push rax",
    "mov edi, ebx",
    "mov eax, 3",
    "syscall",
    "pop r10",
    "pop rbx",
    "pop rsi",
    "pop rdi",
    "xor eax, eax",
    "cmp r10, -4096",
    "ja 9f",
    "mov eax, 228",
    "movabs rdx, {mapped}",
    "syscall",
    "9:",
    "ret",
    // A running clock: the original's, and a constant.
    "7:",
    "push rdi",
    "push rsi",
    "sub rsp, 8",
    "call reprobe_hook_start",
    "add rsp, 8",
    "pop rsi",
    "pop rdi",
    "test eax, eax",
    "jnz 9b",
    "mov rcx, [rip + reprobe_hook_seconds]",
    "add [rsi], rcx",
    "mov rcx, [rip + reprobe_hook_nanoseconds]",
    "add rcx, [rsi + 8]",
    "cmp rcx, 1000000000",
    "jl 8f",
    "sub rcx, 1000000000",
    "inc qword ptr [rsi]",
    "8:",
    "mov [rsi + 8], rcx",
    "ret",
    // int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    ".balign 16",
    "reprobe_hook_gettimeofday:",
    "push rdi",
    "push rsi",
    "sub rsp, 24",
    "test rdi, rdi",
    "jz 2f",
    "xor edi, edi",
    "mov rsi, rsp",
    "call reprobe_hook_clock",
    "test eax, eax",
    "jnz 4f",
    "mov rdi, [rsp + 32]",
    "mov rax, [rsp]",
    "mov [rdi], rax",
    "mov rax, [rsp + 8]",
    "xor edx, edx",
    "mov ecx, 1000",
    "div rcx",
    "mov [rdi + 8], rax",
    "2:",
    "mov rsi, [rsp + 24]",
    "test rsi, rsi",
    "jz 3f",
    "mov qword ptr [rsi], 0",
    "3:",
    "xor eax, eax",
    "4:",
    "add rsp, 40",
    "ret",
    // time_t time(time_t *rdi)
    ".balign 16",
    "reprobe_hook_time:",
    "push rdi",
    "sub rsp, 16",
    "mov edi, 5",
    "mov rsi, rsp",
    "call reprobe_hook_clock",
    "mov rax, [rsp]",
    "add rsp, 16",
    "pop rdi",
    "test rdi, rdi",
    "jz 2f",
    "mov [rdi], rax",
    "2:",
    "ret",
    ".balign 8",
    "reprobe_hook_page: .quad 0",
    "reprobe_hook_runs: .quad 0",
    "reprobe_hook_seconds: .quad 0",
    "reprobe_hook_nanoseconds: .quad 0",
    ".globl reprobe_hook_layout",
    ".hidden reprobe_hook_layout",
    "reprobe_hook_layout:",
    ".quad reprobe_hook_clock - reprobe_hook_start",
    ".quad reprobe_hook_gettimeofday - reprobe_hook_start",
    ".quad reprobe_hook_time - reprobe_hook_start",
    ".quad reprobe_hook_page - reprobe_hook_start",
    ".quad reprobe_hook_layout - reprobe_hook_start",
    ".popsection",
    prologue = const PROLOGUE,
    read = const READ,
    mapped = const MAPPED,
);

unsafe extern "C" {
    static reprobe_hook_start: u8;
    static reprobe_hook_layout: [u64; 5];
}

/// The block and where its parts begin.
#[derive(Debug, Clone, Copy)]
pub(in crate::sandbox) struct Hook {
    /// Everything, the data included.
    pub(in crate::sandbox) bytes: &'static [u8],
    pub(in crate::sandbox) clock_gettime: usize,
    pub(in crate::sandbox) gettimeofday: usize,
    pub(in crate::sandbox) time: usize,
    /// Four words: page, runs, seconds, nanoseconds.
    pub(in crate::sandbox) data: usize,
}

/// The block as the assembler left it.
pub(in crate::sandbox) fn hook() -> Hook {
    // SAFETY: the assembler wrote five words there, which nothing changes.
    let layout = unsafe { reprobe_hook_layout };
    let [clock_gettime, gettimeofday, time, data, length] =
        layout.map(|offset| usize::try_from(offset).unwrap_or(0));
    // SAFETY: the block is `length` bytes long, read-only, and lives as long as the program.
    let bytes = unsafe { std::slice::from_raw_parts(&raw const reprobe_hook_start, length) };
    Hook {
        bytes,
        clock_gettime,
        gettimeofday,
        time,
        data,
    }
}
