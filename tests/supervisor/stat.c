/* Calls of the stat family that the program itself answers, beside the same calls made by the C
   library's syscall(), which are always asked for: both must say the same, always. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *paths[] = {"source", "made", "link", "dangling", "directory", "hard", "future",
                              "past", "directory/inner", "/dev/null", "/proc/self/exe", ".", "..",
                              "/usr/bin/env", "missing", "made/none", ""};
enum { PATHS = sizeof paths / sizeof *paths };
static long compared;
static long wrong;

static void check(const char *form, const char *path, int said, int error, const void *left, int asked,
                  int asked_error, const void *right, size_t length) {
    __atomic_add_fetch(&compared, 1, __ATOMIC_RELAXED);
    if (said == asked && (said ? error == asked_error : !memcmp(left, right, length))) return;
    if (__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED) > 20) return;
    printf("bad %s(%s): %d %d, asked %d %d\n", form, path, said, error, asked, asked_error);
    if (!said && !asked && length == sizeof(struct stat)) {
        const struct stat *l = left, *r = right;
        printf("  dev %lx %lx ino %lu %lu a %ld.%ld %ld.%ld m %ld.%ld %ld.%ld c %ld.%ld %ld.%ld\n",
               (long)l->st_dev, (long)r->st_dev, (long)l->st_ino, (long)r->st_ino,
               (long)l->st_atim.tv_sec, (long)l->st_atim.tv_nsec, (long)r->st_atim.tv_sec,
               (long)r->st_atim.tv_nsec, (long)l->st_mtim.tv_sec, (long)l->st_mtim.tv_nsec,
               (long)r->st_mtim.tv_sec, (long)r->st_mtim.tv_nsec, (long)l->st_ctim.tv_sec,
               (long)l->st_ctim.tv_nsec, (long)r->st_ctim.tv_sec, (long)r->st_ctim.tv_nsec);
    }
}

/* What may change between two looks of this program itself: nothing, unless another moves it. */
static void look(const char *path, int here) {
    struct stat left, right;
    int said, error, asked, fd;
    memset(&left, 0, sizeof left), memset(&right, 0, sizeof right);
    errno = 0, said = stat(path, &left), error = errno;
    errno = 0, asked = syscall(SYS_stat, path, &right);
    check("stat", path, said, error, &left, asked, errno, &right, sizeof left);
    errno = 0, said = lstat(path, &left), error = errno;
    errno = 0, asked = syscall(SYS_lstat, path, &right);
    check("lstat", path, said, error, &left, asked, errno, &right, sizeof left);
    errno = 0, said = fstatat(here, path, &left, AT_SYMLINK_NOFOLLOW), error = errno;
    errno = 0, asked = syscall(SYS_newfstatat, here, path, &right, AT_SYMLINK_NOFOLLOW);
    check("fstatat", path, said, error, &left, asked, errno, &right, sizeof left);
    if ((fd = open(path, O_PATH | O_CLOEXEC)) >= 0) {
        errno = 0, said = fstat(fd, &left), error = errno;
        errno = 0, asked = syscall(SYS_fstat, fd, &right);
        check("fstat", path, said, error, &left, asked, errno, &right, sizeof left);
        close(fd);
    }
#ifdef STATX_BASIC_STATS
    struct statx wide, wider;
    unsigned mask = STATX_BASIC_STATS | STATX_BTIME;
    memset(&wide, 0, sizeof wide), memset(&wider, 0, sizeof wider);
    errno = 0, said = statx(here, path, AT_SYMLINK_NOFOLLOW, mask, &wide), error = errno;
    errno = 0, asked = syscall(SYS_statx, here, path, AT_SYMLINK_NOFOLLOW, mask, &wider);
    check("statx", path, said, error, &wide, asked, errno, &wider, sizeof wide);
    struct statx_timestamp born = wider.stx_btime;
    said = statx(here, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME, &wide), error = errno;
    check("birth", path, said, error, &wide.stx_btime, asked, errno, &born, sizeof born);
#endif
}

static void look_around(int here) {
    for (int i = 0; i < PATHS; i++) look(paths[i], here);
}

static void write_into(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (fd < 0 || write(fd, "x", 1) != 1 || close(fd)) exit(3);
}

static void *looking(void *here) {
    for (int i = 0; i < 200; i++) look_around(*(int *)here);
    return NULL;
}

static void ignore(int number) { (void)number; }

#ifdef __GLIBC__
/* musl copies what it got into the buffer itself. */
static void bad_arguments(void) {
    struct stat status;
    for (int i = 0; i < 40; i++) {
        errno = 0;
        if (stat("source", (void *)8) != -1 || errno != EFAULT) puts("bad EFAULT"), wrong++;
        if (stat((void *)8, &status) != -1 || errno != EFAULT) puts("bad path EFAULT"), wrong++;
        if (fstat(-1, (void *)8) != -1 || errno != EBADF) puts("bad EBADF"), wrong++;
    }
}
#endif

/* The whole red zone below the stack pointer must survive: a function without calls may use it. */
static void registers(void) {
    struct stat status;
    for (int i = 0; i < 40; i++) {
        long kept[5] = {1, 2, 3, 4, 5}, result;
        register long *at __asm__("r12") = kept;
        register struct stat *buffer __asm__("r13") = &status;
        register const char *path __asm__("r14") = "source";
        __asm__ volatile(
            "movq $0x1234567, -8(%%rsp)\n\t"
            "movq $0x7654321, -120(%%rsp)\n\t"
            "movq %%r14, %%rsi\n\tmovq %%r13, %%rdx\n\tmovq $-100, %%rdi\n\txorl %%r10d, %%r10d\n\t"
            "movl $77, %%r8d\n\tmovl $88, %%r9d\n\tmovl $99, %%ebx\n\t"
            "movl $262, %%eax\n\tsyscall\n\t"
            "movq -8(%%rsp), %%rcx\n\tmovq %%rcx, (%%r12)\n\t"
            "movq -120(%%rsp), %%rcx\n\tmovq %%rcx, 8(%%r12)\n\t"
            "movq %%r8, 16(%%r12)\n\tmovq %%r9, 24(%%r12)\n\tmovq %%rbx, 32(%%r12)\n\t"
            : "=a"(result)
            : "r"(at), "r"(buffer), "r"(path)
            : "rcx", "r11", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rbx", "memory", "cc");
        if (result || kept[0] != 0x1234567 || kept[1] != 0x7654321 || kept[2] != 77 || kept[3] != 88 ||
            kept[4] != 99)
            printf("bad registers %ld: %lx %lx %ld %ld %ld\n", result, kept[0], kept[1], kept[2],
                   kept[3], kept[4]),
                wrong++;
    }
}

int main(int count, char **arguments) {
    int here = open(".", O_PATH | O_DIRECTORY);
    if (count > 1 && !strcmp(arguments[1], "again")) {
        for (int i = 0; i < 10; i++) look_around(here);
        return wrong != 0;
    }
    for (int i = 0; i < 20; i++) look_around(here);
#ifdef __GLIBC__
    bad_arguments();
#endif
    registers();
    for (int i = 0; i < 5; i++) {
        write_into("made");
        look_around(here);
        struct timespec nap = {0, 30000000};
        nanosleep(&nap, NULL);
        write_into("made"), write_into("directory/inner"), chmod("hard", 0600 + i);
        look_around(here);
    }
    struct timespec times[2] = {{4000000000, 5}, {1, 999999999}};
    utimensat(AT_FDCWD, "source", times, 0);
    look_around(here);
    struct timespec far[2] = {{15032385535, 0}, {-5, 7}};
    utimensat(AT_FDCWD, "past", far, 0);
    look_around(here);
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        pid_t child = i == 1 ? vfork() : fork();
        if (child == 0 && i < 2) execl("/proc/self/exe", "stat", "again", NULL), _exit(9);
        if (child == 0) {
            for (int j = 0; j < 20; j++) look_around(here);
            fflush(stdout);
            _exit(wrong != 0);
        }
        int status;
        waitpid(child, &status, 0);
        if (status) printf("bad child %d: %x\n", i, status), wrong++;
    }
    signal(SIGALRM, ignore);
    struct itimerval often = {{0, 150}, {0, 150}};
    setitimer(ITIMER_REAL, &often, NULL);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, looking, &here);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    printf("compared %ld, wrong %ld\n", compared, wrong);
    return wrong != 0;
}
