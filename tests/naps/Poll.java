import java.util.concurrent.TimeUnit;

/** Waits for a child until a time, and by naps. Poll REPEATS */
class Poll {
    public static void main(String[] arguments) throws Exception {
        String[] work = {"sh", "-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done"};
        for (int number = 0; number < Integer.parseInt(arguments[0]); number++) {
            Process child = new ProcessBuilder(work).start();
            if (!child.waitFor(40, TimeUnit.SECONDS)) throw new Exception();
            child = new ProcessBuilder(work).start();
            while (child.isAlive()) Thread.sleep(2);
            System.out.println(number + " " + System.currentTimeMillis());
        }
    }
}
