const char about[] = "compiled on " __DATE__ " at " __TIME__;
