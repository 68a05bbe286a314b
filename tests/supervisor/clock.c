/* Reads the real-time clock in every way, waits in every way, and says what it saw.
 * Usage: clock read | wait | loop COUNT | errors */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void reads(void) {
    struct timespec t;
    struct timeval v;
    int clocks[] = {CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI};
    for (int i = 0; i < 3; i++) {
        clock_gettime(clocks[i], &t);
        printf("%ld\n", (long)t.tv_sec);
        syscall(SYS_clock_gettime, clocks[i], &t);
        printf("%ld\n", (long)t.tv_sec);
    }
    gettimeofday(&v, NULL);
    printf("%ld\n", (long)v.tv_sec);
    syscall(SYS_gettimeofday, &v, NULL);
    printf("%ld\n", (long)v.tv_sec);
    printf("%ld\n", (long)time(NULL));
    printf("%ld\n", (long)syscall(SYS_time, NULL));
}

static void report(const char *what, double real, double mono) {
    /* Both clocks must agree about how long it took, to a few hundredths. */
    int fine = real > 0.19 && real < 1.0 && mono > 0.19 && mono < 1.0;
    printf("%s %s", fine ? "ok" : "BAD", what);
    if (!fine) printf(" real %.3f monotonic %.3f", real, mono);
    printf("\n");
}

static struct timespec after(double seconds) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += seconds * 1e9;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return t;
}

#define WAIT(what, ...) { double r = now(CLOCK_REALTIME), m = now(CLOCK_MONOTONIC); __VA_ARGS__; report(what, now(CLOCK_REALTIME) - r, now(CLOCK_MONOTONIC) - m); }

static void waits(void) {
    struct timespec d = {0, 200000000}, at;
    WAIT("nanosleep", nanosleep(&d, NULL))
    WAIT("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &d, NULL))
    WAIT("clock_nanosleep until a time", at = after(0.2); clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL))
    WAIT("clock_nanosleep until a monotonic time", clock_gettime(CLOCK_MONOTONIC, &at); at.tv_nsec += 200000000; if (at.tv_nsec >= 1000000000) { at.tv_nsec -= 1000000000; at.tv_sec++; } clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL))
    WAIT("poll", poll(NULL, 0, 200))
    WAIT("ppoll", ppoll(NULL, 0, &d, NULL))
    struct timeval v = {0, 200000};
    WAIT("select", select(0, NULL, NULL, NULL, &v))
    WAIT("pselect", pselect(0, NULL, NULL, NULL, &d, NULL))
    v = (struct timeval){0, 200000};
    WAIT("raw select", syscall(SYS_select, 0, NULL, NULL, NULL, &v))
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    pthread_mutex_lock(&mutex);
    at = after(0.2);
    struct timespec kept = at;
    int code = 0;
    WAIT("pthread_cond_timedwait", while (code == 0) code = pthread_cond_timedwait(&cond, &mutex, &at))
    if (code != ETIMEDOUT || memcmp(&at, &kept, sizeof at)) printf("BAD deadline changed, or %s\n", strerror(code));
    WAIT("pthread_mutex_timedlock", at = after(0.2); pthread_mutex_timedlock(&mutex, &at))
    static const struct timespec constant = {1, 0};
    if (pthread_mutex_timedlock(&mutex, &constant) != ETIMEDOUT) printf("BAD past deadline\n");
    if (constant.tv_sec != 1) printf("BAD constant changed\n");
    int timer = timerfd_create(CLOCK_REALTIME, 0);
    struct itimerspec set = {{0, 0}, after(0.2)};
    uint64_t count;
    double m = now(CLOCK_MONOTONIC);
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &set, NULL);
    if (read(timer, &count, 8) != 8) printf("BAD timerfd\n");
    m = now(CLOCK_MONOTONIC) - m;
    printf("%s timerfd\n", m > 0.19 && m < 1 ? "ok" : "BAD");
    timer_t posix;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t set1;
    sigemptyset(&set1);
    sigaddset(&set1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set1, NULL);
    timer_create(CLOCK_REALTIME, &event, &posix);
    m = now(CLOCK_MONOTONIC);
    set.it_value = after(0.2);
    timer_settime(posix, TIMER_ABSTIME, &set, NULL);
    struct timespec limit = {5, 0};
    int got = sigtimedwait(&set1, NULL, &limit);
    m = now(CLOCK_MONOTONIC) - m;
    printf("%s timer_settime\n", got == SIGUSR1 && m > 0.19 && m < 1 ? "ok" : "BAD");
}

static void errors(void) {
    struct timespec t;
    struct { const char *what; long result; int wanted; } cases[] = {
        {"bad pointer", (errno = 0, syscall(SYS_clock_gettime, 0, (void *)8) ? errno : 0), EFAULT},
        {"foreign clock", (errno = 0, syscall(SYS_clock_gettime, 77, &t) ? errno : 0), EINVAL},
        {"negative clock", (errno = 0, syscall(SYS_clock_gettime, -99999, &t) ? errno : 0), EINVAL},
        {"foreign clock in libc", (errno = 0, clock_gettime(77, &t) ? errno : 0), EINVAL},
        {"gettimeofday", (errno = 0, syscall(SYS_gettimeofday, (void *)8, NULL) ? errno : 0), EFAULT},
        {"time", (errno = 0, syscall(SYS_time, (void *)8) == -1 ? errno : 0), EFAULT},
        {"sleep", (errno = 0, syscall(SYS_nanosleep, (void *)8, NULL) ? errno : 0), EFAULT},
        {"negative sleep", (t.tv_sec = -1, t.tv_nsec = 0, errno = 0, nanosleep(&t, NULL) ? errno : 0), EINVAL},
        {"futex", (errno = 0, syscall(SYS_futex, &t, 128 | 256 | 9, 0, (void *)8, NULL, -1) ? errno : 0), EFAULT},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
        printf("%s %s %s\n", cases[i].result == cases[i].wanted ? "ok" : "BAD", cases[i].what, strerror(cases[i].result));
    clockid_t own;
    clock_getcpuclockid(0, &own);
    printf("%s clock of a process\n", clock_gettime(own, &t) == 0 ? "ok" : "BAD");
}

int main(int argc, char **argv) {
    setbuf(stdout, NULL);
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "read")) reads();
    if (!strcmp(what, "wait")) waits();
    if (!strcmp(what, "errors")) errors();
    if (!strcmp(what, "loop")) {
        struct timespec t;
        for (long i = atol(argv[2]); i > 0; i--) clock_gettime(CLOCK_REALTIME, &t);
    }
    return 0;
}
