#include <stdio.h>

int main(int argc, char **argv) {
    int local = 0;
    (void)argv;
    printf("frame of main\n");
    if (argc == 1)
        printf("local %p\n", (void *)&local);
    return local;
}
