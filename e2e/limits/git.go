package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"sync"
	"syscall"
	"time"
)

// gitServer serves the repositories of a folder by git's own program, as a web
// server does. Beside it, GET /cpu gives the seconds that git's processes took
// until now, this one's own left out, and GET /state is the smallest answer
// that says "nothing new".
func gitServer(backend, dir string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	git := &cgi.Handler{
		Path: backend, Root: "/git", Dir: dir, Stderr: os.Stderr,
		Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	}
	var running sync.RWMutex // held for reading while one of git's processes runs
	mux := http.NewServeMux()
	mux.HandleFunc("/git/", func(w http.ResponseWriter, r *http.Request) {
		running.RLock()
		defer running.RUnlock()
		git.ServeHTTP(w, r)
	})
	mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"now"`)
		w.WriteHeader(http.StatusNotModified)
	})
	mux.HandleFunc("/cpu", func(w http.ResponseWriter, r *http.Request) {
		running.Lock()
		defer running.Unlock()
		fmt.Fprintf(w, "%.6f\n", childrenTime().Seconds())
	})
	fmt.Println(l.Addr())
	return http.Serve(l, mux)
}

// childrenTime is what the processes took that this one waited for, and those
// that they waited for.
func childrenTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
