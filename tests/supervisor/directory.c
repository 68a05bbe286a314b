/* Reads one directory in every way that a program can, and counts names that are missing or
 * repeated. Prints a line for each failure; exit status 1 if there was one.
 * Usage: directory PARENT COUNT */
#define _GNU_SOURCE
#include <dirent.h>
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
#include <unistd.h>

struct record { unsigned long inode; long offset; unsigned short length; unsigned char kind; char name[]; };
struct legacy { unsigned long inode, offset; unsigned short length; char name[]; };

static int count, failures, shared;
static unsigned char *seen;

static void mark(const char *name) {
    if (name[0] == 'x') __atomic_add_fetch(&seen[atoi(name + 1)], 1, __ATOMIC_SEQ_CST);
}

static void check(const char *what, int fine) {
    if (!fine) { failures++; printf("BAD %s (%s)\n", what, strerror(errno)); }
}

static void each_once(const char *what) {
    int missing = 0, repeated = 0;
    for (int i = 0; i < count; i++) { missing += seen[i] == 0; repeated += seen[i] > 1; }
    if (missing || repeated) { failures++; printf("BAD %s: %d missing, %d repeated\n", what, missing, repeated); }
    memset(seen, 0, count);
}

static void read_all(int fd, size_t size) {
    char *buffer = malloc(size);
    for (;;) {
        long got = syscall(SYS_getdents64, fd, buffer, size);
        if (got <= 0) { check("getdents64", got == 0); break; }
        for (long at = 0; at < got; at += ((struct record *)(buffer + at))->length)
            mark(((struct record *)(buffer + at))->name);
    }
    free(buffer);
}

static void read_legacy(int fd, size_t size) {
    char buffer[4096];
    for (;;) {
        long got = syscall(SYS_getdents, fd, buffer, size);
        if (got <= 0) { check("getdents", got == 0); return; }
        for (long at = 0; at < got; at += ((struct legacy *)(buffer + at))->length) {
            struct legacy *record = (void *)(buffer + at);
            char kind = buffer[at + record->length - 1];
            if (record->name[0] == 'x') check("kind in a legacy record", kind == DT_REG || kind == DT_UNKNOWN);
            mark(record->name);
        }
    }
}

static void *thread(void *unused) { read_all(shared, 2048); return unused; }
static void on_alarm(int signal) { (void)signal; }

static void errors(int fd) {
    char small[10], file[4096];
    lseek(fd, 0, SEEK_SET);
    check("a tiny buffer is EINVAL", syscall(SYS_getdents64, fd, small, 10) == -1 && errno == EINVAL);
    check("a bad pointer is EFAULT", syscall(SYS_getdents64, fd, (void *)8, 4096) == -1 && errno == EFAULT);
    check("after it the position is unchanged", lseek(fd, 0, SEEK_CUR) == 0);
    int other = open("/proc/self/exe", O_RDONLY);
    check("a file is ENOTDIR", syscall(SYS_getdents64, other, file, 4096) == -1 && errno == ENOTDIR);
    close(other);
    check("a closed descriptor is EBADF", syscall(SYS_getdents64, 999, file, 4096) == -1 && errno == EBADF);
}

static void seeking(const char *path) {
    DIR *directory = opendir(path);
    long *position = malloc(sizeof(long) * (count + 10));
    char(*name)[16] = malloc(16 * (count + 10));
    int n = 0;
    for (;;) {
        position[n] = telldir(directory);
        struct dirent *entry = readdir(directory);
        if (!entry) break;
        strncpy(name[n], entry->d_name, 15);
        name[n++][15] = 0;
    }
    check("readdir finds all", n == count + 2);
    for (int k = 0; k < 300; k++) {
        int i = rand() % n;
        seekdir(directory, position[i]);
        struct dirent *entry = readdir(directory);
        check("seekdir returns to what telldir named", entry && !strcmp(entry->d_name, name[i]));
    }
    rewinddir(directory);
    int again = 0;
    while (readdir(directory)) again++;
    check("rewinddir begins again", again == n);
    closedir(directory);
}

static void sharing(int fd) {
    int ends[2];
    lseek(fd, 0, SEEK_SET);
    check("pipe", pipe(ends) == 0);
    fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
    pid_t child = fork();
    if (!child) {
        read_all(fd, 2048);
        for (int i = 0; i < count; i++)
            if (seen[i] && write(ends[1], &i, 4) != 4) _exit(1);
        _exit(0);
    }
    close(ends[1]);
    read_all(fd, 2048);
    int i;
    while (read(ends[0], &i, 4) == 4) seen[i]++;
    waitpid(child, NULL, 0);
    each_once("a description shared with a fork");
    pthread_t threads[4];
    shared = fd;
    lseek(fd, 0, SEEK_SET);
    for (int k = 0; k < 4; k++) pthread_create(threads + k, NULL, thread, NULL);
    for (int k = 0; k < 4; k++) pthread_join(threads[k], NULL);
    each_once("a description shared by threads");
}

static void signals(int fd) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 150}, {0, 150}}, never = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    lseek(fd, 0, SEEK_SET);
    read_all(fd, 300);
    setitimer(ITIMER_REAL, &never, NULL);
    each_once("a storm of signals");
}

static void deletion(const char *path) {
    DIR *directory = opendir(path);
    struct dirent *entry;
    int deleted = 0;
    while ((entry = readdir(directory)))
        if (entry->d_name[0] == 'x') deleted += !unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    check("deleting while reading reaches all", deleted == count);
    check("the directory is empty then", rmdir(path) == 0);
}

int main(int argc, char **argv) {
    char path[4096], file[4200];
    if (argc < 3) return 2;
    snprintf(path, sizeof path, "%s/listed", argv[1]);
    count = atoi(argv[2]);
    seen = calloc(1, count + 1);
    mkdir(path, 0755);
    for (int i = 0; i < count; i++) {
        snprintf(file, sizeof file, "%s/x%d", path, i);
        close(open(file, O_CREAT | O_WRONLY, 0644));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    read_all(fd, 32768);
    each_once("32768 bytes at once");
    lseek(fd, 0, SEEK_SET);
    read_all(fd, 300);
    each_once("300 bytes at once, rewound");
    lseek(fd, 0, SEEK_SET);
    read_legacy(fd, 2000);
    each_once("legacy records");
    errors(fd);
    seeking(path);
    sharing(fd);
    signals(fd);
    deletion(path);
    return failures != 0;
}
