#include <stdio.h>

int main(int argc, char **argv) {
    (void)argv;
    printf("handler main\n");
    if (argc == 1)
        printf("address %p\n", (void *)main);
    return 0;
}
