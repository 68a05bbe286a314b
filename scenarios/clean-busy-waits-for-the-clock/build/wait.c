#include <time.h>

int main(void) {
    time_t start = time(NULL);
    while (time(NULL) == start) {
    }
    return 0;
}
