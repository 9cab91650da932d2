// Command satchel-agent brings the newest course material into a student's
// work folder, at login and while their server runs. What it promises stands
// in package agent; here are its command line, its environment, and the two
// things a program can only do to itself: let go of root, and leave a process
// behind.
package main

import (
	"context"
	"os"
	"runtime/debug"
)

func main() {
	// Most runs are over before there is anything worth collecting; the limit
	// is for those that bring much.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(64 << 20)
	os.Exit(run(context.Background(), os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}
