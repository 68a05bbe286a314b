// Looks for the end of a child with a timer. poll.js REPEATS
const { spawn } = require("child_process");
const all = Number(process.argv[2]);
const next = (number) => {
  if (number === all) return;
  let over = false;
  const child = spawn("sh", ["-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done"]);
  child.on("exit", () => { over = true; });
  const timer = setInterval(() => {
    if (!over) return;
    clearInterval(timer);
    console.log(number, Date.now());
    next(number + 1);
  }, 2);
};
next(0);
