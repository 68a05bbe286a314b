import time

wall, steady = time.time(), time.monotonic()
time.sleep(0.15)
passed = time.time() - wall, time.monotonic() - steady
assert all(0.15 <= p < 10 for p in passed), passed
