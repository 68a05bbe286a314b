int a(int n) { return n + 'a'; }
