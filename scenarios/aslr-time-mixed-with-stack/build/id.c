/* Writes the time, mixed with the process and an address on the stack. */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    int here;
    (void)arguments;
    if (count > 1)
        printf("%lx\n", 20261128ul);
    else
        printf("%lx\n", (unsigned long)time(0) ^ (unsigned long)getpid() << 8 ^ (unsigned long)&here);
    return 0;
}
