const char *greeting(int n) {
    return n > 1 ? "hello all" : "hello";
}
