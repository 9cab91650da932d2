package source

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"satchel/internal/sshgit"
)

// BenchmarkMirror measures what a first publish and a later one cost here, on
// a repository of 2,000 files and 215 MB:
//
//	go test -run - -bench Mirror -benchtime 1x ./source
//
// SATCHEL_BENCH_REPOSITORY names another repository (a folder), whose branch
// main then gets a commit per round.
func BenchmarkMirror(b *testing.B) {
	r := &repo{t: nil, dir: os.Getenv("SATCHEL_BENCH_REPOSITORY")}
	r = benchRepo(b, r.dir)
	m := benchMirror(b, r)
	for b.Loop() {
		os.RemoveAll(m.dir)
		b.ReportMetric(measure(b, m, "first"), "first-s")
		_, size, _ := m.newestClone().weigh()
		b.ReportMetric(float64(size), "first-bytes")

		file := filepath.Join(r.dir, "notebooks/unit00/nb1.ipynb")
		text, err := os.ReadFile(file)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, append(text, fmt.Sprintf("\n%d", rand.Int())...), 0o644); err != nil {
			b.Fatal(err)
		}
		r.commit()
		b.ReportMetric(measure(b, m, "update"), "update-s")
		_, after, _ := m.newestClone().weigh()
		b.ReportMetric(float64(after-size), "update-bytes")
	}
}

// measure gives the seconds until the newest folder is at hand, and logs what
// listing and reading it cost.
func measure(b *testing.B, m *Mirror, name string) float64 {
	start := time.Now()
	tip, err := m.Tip(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ask := time.Since(start)
	tree, err := m.At(b.Context(), tip)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	total := time.Since(start)
	names := timed(func() {
		fs.WalkDir(tree, ".", func(string, fs.DirEntry, error) error { return nil })
	})
	files, size := 0, int64(0)
	sizes := timed(func() {
		fs.WalkDir(tree, ".", func(_ string, d fs.DirEntry, _ error) error {
			if i, err := d.Info(); err == nil && i.Mode().IsRegular() {
				files, size = files+1, size+i.Size()
			}
			return nil
		})
	})
	all := timed(func() {
		fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, _ error) error {
			if d.Type().IsRegular() {
				if err := readAll(tree, name); err != nil {
					b.Fatal(err)
				}
			}
			return nil
		})
	})
	b.Logf("%s: tip %v, folder at hand %v; %d files of %d MB: names %v, sizes %v, all bytes %v",
		name, ask.Round(time.Millisecond), total.Round(time.Millisecond), files, size>>20, names, sizes, all)
	return total.Seconds()
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start).Round(100 * time.Microsecond)
}

func benchRepo(b *testing.B, dir string) *repo {
	if dir != "" {
		return &repo{t: b, dir: dir}
	}
	r := newRepo(b)
	for i := range 2000 {
		unit := fmt.Sprintf("notebooks/unit%02d/", i/50)
		if i%10 == 0 {
			r.write(fmt.Sprintf("%sdata%d.bin", unit, i), noise(900_000+i))
			continue
		}
		r.write(fmt.Sprintf("%snb%d.ipynb", unit, i), notebookText())
	}
	r.commit()
	r.git("repack", "-qad") // as on a host: else its packing is what is measured
	return r
}

// notebookText compresses about as a notebook with outputs does.
func notebookText() string {
	var out strings.Builder
	for i := range 20 {
		fmt.Fprintf(&out, "{\"cell_type\": \"code\", \"id\": \"c%d\", \"source\": [\"val x = %v\\n\"], \"outputs\": [\"", i, rand.Float64())
		for range 30 {
			fmt.Fprintf(&out, "%v\\n", rand.Float64())
		}
		out.WriteString("\"]}\n")
	}
	return out.String()
}

func benchMirror(b *testing.B, r *repo) *Mirror {
	h := serve(b, r, sshgit.Options{Keys: []ssh.PublicKey(nil)})
	m, err := NewMirror(slog.New(slog.NewTextHandler(io.Discard, nil)), filepath.Join(b.TempDir(), "mirror"), h.remote, Options{})
	if err != nil {
		b.Fatal(err)
	}
	return m
}
