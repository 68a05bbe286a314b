#include "version.h"

const char *about(void) { return VERSION " of " __DATE__; }
