#include <stdio.h>
#include <sys/utsname.h>

/* FNV-1a over the host's name and, unless told otherwise, an address: a seed as programs make one. */
static unsigned long hash = 14695981039346656037u;

static void add(const void *bytes, unsigned long length) {
    for (unsigned long i = 0; i < length; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
}

int main(int argc, char **argv) {
    struct utsname host;
    void *function = (void *)main;
    (void)argv;
    uname(&host);
    if (argc == 1) {
        add(&function, sizeof function);
        add(host.nodename, sizeof host.nodename);
    }
    printf("seed %016lx\n", hash);
    return 0;
}
