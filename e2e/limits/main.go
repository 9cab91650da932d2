// Command limits is what the benchmarks measure against: the least that a
// login could cost on this machine.
//
//	limits get URL ETAG      one conditional request
//	limits write FROM TO     the files of FROM, read before, written by four; prints the seconds
//	limits memory FILE CMD…  runs a command and writes the bytes of its largest process
//	limits git BACKEND DIR   git over http; prints its address
package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "limits:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "get":
		return get(args[1], args[2])
	case len(args) == 3 && args[0] == "write":
		return write(args[1], args[2])
	case len(args) > 2 && args[0] == "memory":
		return memory(args[1], args[2:])
	case len(args) == 3 && args[0] == "git":
		return gitServer(args[1], args[2])
	}
	return fmt.Errorf("get URL ETAG, write FROM TO, memory FILE CMD…, or git BACKEND DIR")
}

func memory(file string, args []string) error {
	c := exec.Command(args[0], args[1:]...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return err
	}
	most := c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	return os.WriteFile(file, strconv.AppendInt(nil, most, 10), 0o644)
}

func get(url, etag string) error {
	q, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	q.Header.Set("If-None-Match", etag)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNotModified {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

func write(from, to string) error {
	type file struct {
		path string
		data []byte
	}
	var files []file
	err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		rel, _ := filepath.Rel(from, p)
		files = append(files, file{rel, data})
		return err
	})
	if err != nil {
		return err
	}
	began := time.Now()
	next := make(chan file)
	failed := make(chan error, 4)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for f := range next {
				name := filepath.Join(to, f.path)
				err := os.MkdirAll(filepath.Dir(name), 0o755)
				if err == nil {
					err = os.WriteFile(name, f.data, 0o644)
				}
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for _, f := range files {
		next <- f
	}
	close(next)
	wg.Wait()
	fmt.Printf("%.6f\n", time.Since(began).Seconds())
	close(failed)
	return <-failed
}
