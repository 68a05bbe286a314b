/* Writes the usual seed of a small program: the time, mixed with the address of a variable. */
#include <stdio.h>
#include <time.h>

static int here;

int main(int count, char **arguments)
{
    (void)arguments;
    if (count > 1)
        printf("%08x\n", 20261128u);
    else
        printf("%08x\n", (unsigned)time(0) ^ (unsigned)(long)&here);
    return 0;
}
