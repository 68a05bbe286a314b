// Looks for the end of a child with a ticker. poll REPEATS
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

func main() {
	repeats, _ := strconv.Atoi(os.Args[1])
	for number := 0; number < repeats; number++ {
		child := exec.Command("sh", "-c", "i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done")
		if err := child.Start(); err != nil {
			panic(err)
		}
		over := make(chan error)
		go func() { over <- child.Wait() }()
		ticker := time.NewTicker(2 * time.Millisecond)
		for waits := true; waits; {
			select {
			case <-over:
				waits = false
			case <-ticker.C:
				time.Sleep(time.Millisecond)
			}
		}
		ticker.Stop()
		fmt.Println(number, time.Now().UnixNano())
	}
}
