// The code that `hook.rs` copies into other processes: see there.
    .pushsection .rodata.reprobe_hook,"a",@progbits
    .balign 16
    .globl reprobe_hook_start
    .hidden reprobe_hook_start
reprobe_hook_start:
    .skip {prologue}, 0xcc
    // int clock_gettime(clockid edi, struct timespec *rsi)
    .balign 16
reprobe_hook_clock:
    test edi, edi
    jz 2f
    cmp edi, 5
    je 2f
    cmp edi, 11
    jne reprobe_hook_start
2:
    cmp qword ptr [rip + reprobe_hook_runs], 0
    jne 7f
    mov rax, [rip + reprobe_hook_page]
    test rax, rax
    jz 5f
    cmp qword ptr [rax + 8], -1
    jne 4f
    // The clock stands at [rax].
3:
    mov rax, [rax]
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rsi], rax
    mov [rsi + 8], rdx
    xor eax, eax
    ret
    // A step is due at the host's time [rax + 8]: has that come?
4:
    push rdi
    push rsi
    push rax
    sub rsp, 16
    xor edi, edi
    mov rsi, rsp
    call reprobe_hook_start
    mov r8, [rsp]
    imul r8, r8, 1000000000
    add r8, [rsp + 8]
    add rsp, 16
    pop rax
    pop rsi
    pop rdi
    cmp r8, [rax + 8]
    jb 3b
    // Ask the supervisor; a positive answer is a descriptor of the page, plus one.
5:
    mov eax, 228
    movabs rdx, {read}
    syscall
    test eax, eax
    jg 6f
    ret
6:
    movabs rdx, {mapped}
    // rdx: by which word the supervisor is told.
reprobe_hook_map:
    push rdi
    push rsi
    push rbx
    push rdx
    lea ebx, [rax - 1]
    xor edi, edi
    mov esi, {length}
    mov edx, 1
    mov r10d, 1
    mov r8d, ebx
    xor r9d, r9d
    mov eax, 9
    syscall
    push rax
    mov edi, ebx
    mov eax, 3
    syscall
    pop r10
    pop rdx
    pop rbx
    pop rsi
    pop rdi
    xor eax, eax
    cmp r10, -4096
    ja 9f
    mov eax, 228
    syscall
9:
    ret
    // A running clock: the original's, and a constant.
7:
    push rsi
    call reprobe_hook_start
    pop rsi
    test eax, eax
    jnz 9b
    mov rcx, [rip + reprobe_hook_seconds]
    add [rsi], rcx
    mov rcx, [rip + reprobe_hook_nanoseconds]
    add rcx, [rsi + 8]
    cmp rcx, 1000000000
    jl 8f
    sub rcx, 1000000000
    inc qword ptr [rsi]
8:
    mov [rsi + 8], rcx
    ret
    // int gettimeofday(struct timeval *rdi, struct timezone *rsi)
    .balign 16
reprobe_hook_gettimeofday:
    push rdi
    push rsi
    sub rsp, 24
    test rdi, rdi
    jz 2f
    xor edi, edi
    mov rsi, rsp
    call reprobe_hook_clock
    test eax, eax
    jnz 4f
    mov rdi, [rsp + 32]
    mov rax, [rsp]
    mov [rdi], rax
    mov rax, [rsp + 8]
    xor edx, edx
    mov ecx, 1000
    div rcx
    mov [rdi + 8], rax
2:
    mov rsi, [rsp + 24]
    test rsi, rsi
    jz 3f
    mov qword ptr [rsi], 0
3:
    xor eax, eax
4:
    add rsp, 40
    ret
    // time_t time(time_t *rdi)
    .balign 16
reprobe_hook_time:
    push rdi
    sub rsp, 16
    mov edi, 5
    mov rsi, rsp
    call reprobe_hook_clock
    mov rax, [rsp]
    add rsp, 16
    pop rdi
    test rdi, rdi
    jz 2f
    mov [rdi], rax
2:
    ret
    .balign 8
    reprobe_hook_page: .quad 0
    reprobe_hook_runs: .quad 0
    reprobe_hook_seconds: .quad 0
    reprobe_hook_nanoseconds: .quad 0
    reprobe_hook_pages: .quad 0
    // A call that reads a directory, or of the stat family: eax is its number, the arguments are
    // where the kernel wants them, and nothing but rax, rcx and r11 may change, as after a system
    // call.
    .balign 16
reprobe_hook_call:
    push rbx
    cmp eax, {getdents64}
    je 10f
    push rdi
    push rsi
    push rdx
    push r8
    push r9
    push r10
    mov ebx, eax
    cmp qword ptr [rip + reprobe_hook_pages], 0
    je 8f
22:
    movabs r9, {hooked}
    mov eax, ebx
    cmp ebx, {statx}
    jne 2f
    // Some kernels leave out the times that nobody asks for, and by these it is known whose file it
    // is.
    or r10d, {basic}
2:
    syscall
    test eax, eax
    jnz 7f
    // rdx: the structure; rdi, rsi, r8, r10: its times of access, content, change and birth.
    cmp ebx, {statx}
    je 2f
    cmp ebx, {fstatat}
    cmovne rdx, rsi
    lea rdi, [rdx + 72]
    lea rsi, [rdx + 88]
    lea r8, [rdx + 104]
    xor r10d, r10d
    jmp 3f
2:
    mov rdx, r8
    lea rdi, [rdx + 64]
    lea rsi, [rdx + 112]
    lea r8, [rdx + 96]
    lea r10, [rdx + 80]
    // r9: the host's time.
3:
    push rdx
    push rdi
    push rsi
    push r8
    push r10
    sub rsp, 16
    xor edi, edi
    mov rsi, rsp
    call reprobe_hook_start
    mov r9, [rsp]
    imul r9, r9, 1000000000
    add r9, [rsp + 8]
    add rsp, 16
    pop r10
    pop r8
    pop rsi
    pop rdi
    pop rdx
    // Only while nobody writes, and no step is due.
    mov rax, [rip + reprobe_hook_pages]
    test byte ptr [rax + {flags}], {times}
    jz 6f
    cmp r9, [rax + 8]
    jae 6f
    mov rcx, [rax + {sequence}]
    test cl, 1
    jnz 6f
    push rcx
    push rdx
    // The content's time, and whether the source gave it.
    mov r11, rsi
    call reprobe_hook_shown
    jc 5f
    push rcx
    mov r11, rdi
    call reprobe_hook_shown
    pop rdx
    jc 5f
    test ecx, edx
    jz 2f
    // As the content's.
    push [rsi]
    pop [rdi]
    push [rsi + 8]
    pop [rdi + 8]
2:
    mov r11, r8
    call reprobe_hook_shown
    jc 5f
    test ecx, ecx
    jz 2f
    // Untouched: made, touched last and read last when it was checked out.
    call reprobe_hook_as_checkout
    mov r11, rdi
    call reprobe_hook_as_checkout
    mov r11, r10
    test r11, r11
    jnz 4f
    jmp 3f
2:
    // A directory has been touched when its content was: see `files.rs`. The kind stands so far before
    // the time of change.
    test r10, r10
    lea rdx, [r8 - 79]
    jz 21f
    add rdx, 12
21:
    test byte ptr [rdx], 0x40
    jz 21f
    push [rsi]
    pop [r8]
    push [rsi + 8]
    pop [r8 + 8]
21:
    mov r11, r10
    test r11, r11
    jz 3f
    call reprobe_hook_shown
    jc 5f
    test ecx, ecx
    jz 3f
4:
    call reprobe_hook_as_checkout
3:
    mov rdx, [rsp]
    test byte ptr [rax + {flags}], {numbers}
    jz 4f
    // r11: the device as struct stat has it; rdi: the inode.
    mov r11d, [rdx]
    mov rdi, [rdx + 8]
    test r10, r10
    jz 2f
    mov rdi, [rdx + 32]
    mov ecx, [rdx + 140]
    movzx r11d, cl
    and ecx, 0xffffff00
    shl ecx, 12
    or r11d, ecx
    mov ecx, [rdx + 136]
    shl ecx, 8
    or r11d, ecx
2:
    mov rsi, r11
    shl rsi, 32
    xor rsi, rdi
    movabs rcx, {multiplier}
    imul rsi, rcx
    shr rsi, {shift}
    mov r8d, {probes}
2:
    mov ecx, esi
    and ecx, {mask}
    shl ecx, 5
    lea rcx, [rax + rcx + {table}]
    cmp qword ptr [rcx + 16], 0
    je 5f
    cmp [rcx], r11
    jne 3f
    cmp [rcx + 8], rdi
    je 2f
3:
    inc esi
    dec r8d
    jnz 2b
    jmp 5f
2:
    mov r11, [rcx + 24]
    mov rcx, [rcx + 16]
    test r10, r10
    jnz 3f
    mov [rdx + 8], rcx
    mov rcx, r11
    shr rcx, 32
    mov [rdx], rcx
    // ecx: the mode; rsi and r8: size and blocks. The links are at the same place in both.
    mov ecx, [rdx + 24]
    lea rsi, [rdx + 48]
    lea r8, [rdx + 64]
    jmp 2f
3:
    mov [rdx + 32], rcx
    mov dword ptr [rdx + 136], 0
    mov [rdx + 140], r11d
    movzx ecx, word ptr [rdx + 28]
    lea rsi, [rdx + 40]
    lea r8, [rdx + 48]
2:
    // As in `counts.rs`. What has no length is left alone.
    mov rdi, [rsi]
    test rdi, rdi
    jz 4f
    shr ecx, 12
    cmp ecx, 4
    je 3f
    cmp ecx, 8
    jne 4f
    // Whole blocks of 4096 bytes, or less where a file has holes, and what is added.
    lea r11, [rdi + 4095]
    shr r11, 12
    shl r11, 3
    cmp r11, 8
    jbe 2f
    cmp [r8], r11
    cmovb r11, [r8]
2:
    add r11, [rax + {more_blocks}]
    mov [r8], r11
    jmp 4f
3:
    mov r11, [rax + {directory_size}]
    mov [rsi], r11
    mov r11, [rax + {directory_blocks}]
    mov [r8], r11
    cmp qword ptr [rax + {uncounted_links}], 0
    je 4f
    cmp dword ptr [rdx + 16], 1
    mov dword ptr [rdx + 16], 30001
    je 4f
    // The lowest bit is set.
    and dword ptr [rdx + 16], 1
4:
    pop rdx
    pop rcx
    cmp rcx, [rax + {sequence}]
    jne 6f
    xor eax, eax
    jmp 7f
    // What cannot be told here is asked for.
5:
    pop rdx
    pop rcx
6:
    stc
    // Carry: the kernel is to be asked.
7:
    pop r10
    pop r9
    pop r8
    pop rdx
    pop rsi
    pop rdi
    jnc 2f
    mov eax, ebx
    syscall
2:
    pop rbx
    ret
    // There are no pages yet.
8:
    sub rsp, 16
    xor edi, edi
    mov rsi, rsp
    mov eax, 228
    movabs rdx, {wanted}
    syscall
    test eax, eax
    jle 9f
    movabs rdx, {mapped_for_files}
    call reprobe_hook_map
9:
    add rsp, 16
    cmp qword ptr [rip + reprobe_hook_pages], 0
    je 6b
    mov r10, [rsp]
    mov r8, [rsp + 16]
    mov rdx, [rsp + 24]
    mov rsi, [rsp + 32]
    mov rdi, [rsp + 40]
    jmp 22b
    // A directory that has been given out whole, as its position tells, has no more.
10:
    push rdi
    push rsi
    push rdx
    mov ebx, eax
    xor esi, esi
    mov edx, {current}
    mov eax, {lseek}
    syscall
    pop rdx
    pop rsi
    pop rdi
    movabs rcx, {end}
    xor rcx, rax
    xor eax, eax
    test rcx, rcx
    jz 2f
    mov eax, ebx
    syscall
2:
    pop rbx
    ret
    // The time of the checkout at r11.
reprobe_hook_as_checkout:
    mov rcx, [rax + {checkout}]
    mov [r11], rcx
    and qword ptr [r11 + 8], 0
    ret
    // Turns the time at r11 into what the trial shows; ecx: the source gave it. Carry: it does not
    // fit nanoseconds of 64 bits. Clobbers rdx.
reprobe_hook_shown:
    mov rcx, [r11]
    imul rcx, rcx, 1000000000
    jo 8f
    add rcx, [r11 + 8]
    jo 8f
    cmp rcx, [rax + {since}]
    jl 7f
    cmp rcx, r9
    jg 6f
    cmp rcx, [rax + {began}]
    jl 4f
    mov rdx, [rax + {count}]
    shl rdx, 4
3:
    sub rdx, 16
    jb 4f
    cmp [rax + rdx + {steps}], rcx
    jg 3b
    mov rcx, [rax + rdx + {steps} + 8]
    jmp 5f
4:
    mov rcx, [rax + {start}]
5:
    push rax
    mov rax, rcx
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [r11], rax
    mov [r11 + 8], rdx
    pop rax
6:
    xor ecx, ecx
    ret
7:
    mov ecx, 1
    clc
    ret
8:
    stc
    ret
    .balign 8
    .globl reprobe_hook_layout
    .hidden reprobe_hook_layout
reprobe_hook_layout:
    .quad reprobe_hook_clock - reprobe_hook_start
    .quad reprobe_hook_gettimeofday - reprobe_hook_start
    .quad reprobe_hook_time - reprobe_hook_start
    .quad reprobe_hook_page - reprobe_hook_start
    .quad reprobe_hook_call - reprobe_hook_start
    .quad reprobe_hook_layout - reprobe_hook_start
    .popsection
