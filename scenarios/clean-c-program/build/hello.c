#include <assert.h>
#include <stdio.h>

const char *greeting(int n);

int main(int argc, char **argv) {
    (void)argv;
    assert(argc > 0);
    printf("%s from %s\n", greeting(argc), __FILE__);
    return 0;
}
