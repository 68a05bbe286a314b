int a(int), b(int), c(int), d(int); int main(void) { return a(b(c(d(0)))) == 0; }
