#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(void) {
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    printf("built at %lld\n", epoch ? atoll(epoch) : (long long)time(NULL));
    return 0;
}
