# Waits for a child with select, as Perl programs nap. poll.pl REPEATS
use POSIX ":sys_wait_h";
use Time::HiRes qw(time usleep);
for my $number (1 .. shift) {
    my $child = fork() // die;
    if (!$child) { my $sum = 0; $sum += $_ for 1 .. 100000; POSIX::_exit(0) }
    while (waitpid($child, WNOHANG) == 0) { $number % 2 ? select(undef, undef, undef, 0.01) : usleep(1000) }
    printf "%d %.4f\n", $number, time;
}
