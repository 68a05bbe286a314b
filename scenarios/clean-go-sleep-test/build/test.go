package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	start := time.Now().UnixNano()
	time.Sleep(200 * time.Millisecond)
	passed := time.Now().UnixNano() - start
	if passed < 200_000_000 {
		fmt.Println("only", passed, "ns have passed")
		os.Exit(1)
	}
}
