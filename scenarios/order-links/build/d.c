int d(int n) { return n + 'd'; }
