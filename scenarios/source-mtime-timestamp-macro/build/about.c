const char about[] = "about.c of " __TIMESTAMP__;
