#include <stdio.h>

int main(void) {
    puts("version 1.0, built on " BUILD_HOST);
    return 0;
}
