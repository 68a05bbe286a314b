package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	now := time.Now().UnixNano()
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		now = epoch * 1e9
	}
	fmt.Println("built at", now)
}
