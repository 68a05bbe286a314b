/* Makes one call over and over: calls CALL TIMES DIRECTORY. Says how many nanoseconds that took. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int above, entries, file;
static const char *name;
static char path[4096];

static int made_call(const char *call) {
    static char records[4096], bytes[16];
    static char *const words[] = {"/bin/true", NULL};
    struct stat status;
    struct timespec now;
    struct utsname system;
    pid_t child;
    int ended;
    switch (call[0]) {
    case 'p': return syscall(SYS_getppid) <= 0;
    case 'v': return clock_gettime(CLOCK_REALTIME, &now);
    case 'c': return syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    case 's': return stat(path, &status);
    case 'f': return fstat(file, &status);
    case 'a': return fstatat(above, name, &status, 0);
    case 'A': return syscall(SYS_newfstatat, above, name, &status, 0);
    case 'd':
        while (syscall(SYS_getdents64, entries, records, sizeof records) > 0) {}
        return lseek(entries, 0, SEEK_SET) != 0;
    case 'r': return syscall(SYS_getrandom, bytes, sizeof bytes, 0) != sizeof bytes;
    case 'u': return uname(&system);
    case 'x': return posix_spawn(&child, words[0], NULL, NULL, words, NULL) ||
                     waitpid(child, &ended, 0) != child || ended;
    default: return 1;
    }
}

int main(int count, char **arguments) {
    if (count != 4 || chdir(arguments[3])) return 2;
    const char *call = arguments[1];
    int made = strchr(call, 'm') != NULL;
    name = made ? "made" : "source";
    snprintf(path, sizeof path, "%s/%s", arguments[3], name);
    /* During the trial, so that its times are the trial's. */
    if (made) close(open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644));
    file = open(name, O_RDONLY), above = open(".", O_RDONLY), entries = open("entries", O_RDONLY);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long left = atol(arguments[2]); left > 0; left--)
        if (made_call(call)) return 1;
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%ld\n", (to.tv_sec - from.tv_sec) * 1000000000 + to.tv_nsec - from.tv_nsec);
}
