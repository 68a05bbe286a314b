int c(int n) { return n + 'c'; }
