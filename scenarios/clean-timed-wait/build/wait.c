#include <errno.h>
#include <pthread.h>
#include <time.h>

int main(void) {
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t never = PTHREAD_COND_INITIALIZER;
    struct timespec end, now;
    int result;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += 100 * 1000 * 1000;
    if (end.tv_nsec >= 1000 * 1000 * 1000) {
        end.tv_nsec -= 1000 * 1000 * 1000;
        end.tv_sec++;
    }
    pthread_mutex_lock(&lock);
    do
        result = pthread_cond_timedwait(&never, &lock, &end);
    while (result == 0);
    pthread_mutex_unlock(&lock);
    clock_gettime(CLOCK_REALTIME, &now);
    if (result != ETIMEDOUT)
        return 1;
    return now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec) ? 2 : 0;
}
