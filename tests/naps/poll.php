<?php // Waits for a child as Symfony's Process does. poll.php REPEATS
for ($number = 0; $number < (int)$argv[1]; $number++) {
    $process = proc_open(['sh', '-c', 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done'], [], $pipes);
    while (proc_get_status($process)['running']) usleep(1000);
    proc_close($process);
    printf("%d %.4f\n", $number, microtime(true));
}
