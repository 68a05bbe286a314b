public class SleepTest {
    public static void main(String[] arguments) throws Exception {
        long start = System.currentTimeMillis();
        Thread.sleep(200);
        long passed = System.currentTimeMillis() - start;
        if (passed < 200) {
            throw new AssertionError("only " + passed + " ms have passed");
        }
    }
}
