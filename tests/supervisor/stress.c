/* A mixed load with signals and kills, whose every answer can be checked: directories list each
 * name once, files keep their identity and times, the clock never goes back, sleeps last. Prints
 * what was done and a line for each failure; exit status 1 if there was one.
 * Usage: stress DIRECTORY SECONDS */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 300, WORKERS = 4, VICTIMS = 3 };

static struct { long rounds, kills, signals, failures; } *shared;
static char *self;

static void failed(const char *what) {
    __atomic_add_fetch(&shared->failures, 1, __ATOMIC_SEQ_CST);
    printf("BAD %s (%s)\n", what, strerror(errno));
    fflush(stdout);
}

static void on_alarm(int number) {
    (void)number;
    __atomic_add_fetch(&shared->signals, 1, __ATOMIC_SEQ_CST);
}

static long long now(int clock) {
    struct timespec time;
    if (clock_gettime(clock, &time)) failed("clock_gettime");
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void directory(const char *path) {
    unsigned char seen[FILES] = {0};
    DIR *dir = opendir(path);
    if (!dir) { failed("opendir"); return; }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] == 'x') seen[atoi(entry->d_name + 1)]++;
    closedir(dir);
    for (int i = 0; i < FILES; i++)
        if (seen[i] != 1) { failed("a name is missing or repeated"); return; }
}

static void *reader(void *path) {
    directory(path);
    return NULL;
}

static void files(const char *path) {
    char name[4200];
    struct stat one, other;
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "%s/x%d", path, rand() % FILES);
        int fd = open(name, O_RDONLY);
        if (fd < 0 || fstat(fd, &one) || stat(name, &other)) failed("stat");
        close(fd);
        if (one.st_ino != other.st_ino || one.st_dev != other.st_dev) failed("identity");
        if (one.st_mtime != other.st_mtime) failed("times of one file");
    }
    errno = 0;
    if (stat("/no/such/file", &one) == 0 || errno != ENOENT) failed("stat of what is missing");
    if (syscall(SYS_stat, "/", (void *)8) == 0 || errno != EFAULT) failed("stat to a bad address");
}

static void clocks(void) {
    long long before = now(CLOCK_REALTIME), began = now(CLOCK_MONOTONIC);
    struct timespec nap = {0, 2000000}, rest;
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, &rest) == EINTR) nap = rest;
    if (now(CLOCK_MONOTONIC) - began < 2000000) failed("a sleep that is too short");
    if (now(CLOCK_REALTIME) < before) failed("the clock went back");
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 3000000;
    if (until.tv_nsec >= 1000000000) { until.tv_nsec -= 1000000000; until.tv_sec++; }
    pthread_mutex_lock(&mutex);
    began = now(CLOCK_MONOTONIC);
    if (pthread_cond_timedwait(&condition, &mutex, &until) != ETIMEDOUT) failed("a timed wait");
    if (now(CLOCK_MONOTONIC) - began > 5000000000LL) failed("a timed wait that is too long");
    pthread_mutex_unlock(&mutex);
}

static void programs(void) {
    pid_t child = fork();
    if (child == 0) { execl(self, self, "--child", NULL); _exit(9); }
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR);
    if (status != 0) failed("a program that is started");
    char bytes[64];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) failed("getrandom");
    struct utsname name;
    if (uname(&name) || strcmp(name.sysname, "Linux")) failed("uname");
}

static void work(const char *path, long long end) {
    srand(getpid());
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval storm = {{0, 300}, {0, 300}}, quiet = {0};
    while (now(CLOCK_MONOTONIC) < end) {
        setitimer(ITIMER_REAL, &storm, NULL);
        pthread_t thread;
        if (pthread_create(&thread, NULL, reader, (void *)path)) failed("pthread_create");
        directory(path);
        files(path);
        pthread_join(thread, NULL);
        setitimer(ITIMER_REAL, &quiet, NULL);
        clocks();
        programs();
        __atomic_add_fetch(&shared->rounds, 1, __ATOMIC_SEQ_CST);
    }
    _exit(0);
}

/* Does the same until it is killed in the middle of something. */
static pid_t victim(const char *path) {
    pid_t child = fork();
    if (child == 0) {
        for (;;) { directory(path); files(path); now(CLOCK_REALTIME); programs(); }
    }
    return child;
}

int main(int count, char **arguments) {
    if (count == 2) return now(CLOCK_REALTIME) <= 0;
    (void)count;
    self = arguments[0];
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    /* --child counts nowhere else. */
    char path[4096], name[4200];
    snprintf(path, sizeof path, "%s/stress", arguments[1]);
    mkdir(path, 0755);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%s/x%d", path, i);
        close(open(name, O_CREAT | O_WRONLY, 0644));
    }
    long long end = now(CLOCK_MONOTONIC) + atoll(arguments[2]) * 1000000000LL;
    pid_t workers[WORKERS], victims[VICTIMS];
    for (int i = 0; i < WORKERS; i++)
        if ((workers[i] = fork()) == 0) work(path, end);
    for (int i = 0; i < VICTIMS; i++) victims[i] = victim(path);
    while (now(CLOCK_MONOTONIC) < end) {
        int chosen = rand() % VICTIMS;
        usleep(rand() % 20000);
        kill(victims[chosen], SIGKILL);
        waitpid(victims[chosen], NULL, 0);
        shared->kills++;
        victims[chosen] = victim(path);
    }
    for (int i = 0; i < VICTIMS; i++) { kill(victims[i], SIGKILL); waitpid(victims[i], NULL, 0); }
    for (int i = 0; i < WORKERS; i++) {
        int status;
        waitpid(workers[i], &status, 0);
        if (status) failed("a worker died");
    }
    printf("%ld rounds, %ld kills, %ld signals, %ld failures\n", shared->rounds, shared->kills,
           shared->signals, shared->failures);
    return shared->failures || !shared->rounds;
}
