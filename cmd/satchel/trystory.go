//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// clash is one file that the student and the instructor both change.
type clash struct {
	path                string // below the delivered folder
	student, instructor func([]byte) []byte
}

// sampleClash is the sample course's: both solve the exercise.
var sampleClash = clash{
	path:       "lab1/functions.ipynb",
	student:    replacing("Int = ???", "Int = xs.map(square).sum   // ana's answer"),
	instructor: replacing("Write `sumOfSquares(xs: List[Int]): Int`.", "Write `sumOfSquares(xs: List[Int]): Int` with `map` and `sum`."),
}

func replacing(old, new string) func([]byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(new), 1) }
}

func appending(line string) func([]byte) []byte {
	return func(b []byte) []byte { return append(bytes.TrimRight(b, "\n"), "\n"+line+"\n"...) }
}

// findClash looks for a text file in somebody's own course.
func findClash(folder string) (clash, error) {
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return clash{}, fmt.Errorf("the course has no folder %q (--folder)", filepath.Base(folder))
	}
	found := ""
	err := filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil || found != "" {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && p != folder {
			return fs.SkipDir
		}
		if rel, err := filepath.Rel(folder, p); err == nil && d.Type().IsRegular() && isText(p) {
			found = rel
		}
		return nil
	})
	if err == nil && found == "" {
		err = errors.New("the course has no text file (.md, .txt, .csv, .py, .scala) that student and instructor could both change")
	}
	return clash{found, appending("ana's own line"), appending("a new line of the instructor's")}, err
}

func isText(p string) bool {
	switch filepath.Ext(p) {
	case ".md", ".txt", ".csv", ".py", ".scala", ".sc":
		return !strings.HasPrefix(filepath.Base(p), ".")
	}
	return false
}

// edit changes a file in place, as an editor does.
func edit(file string, change func([]byte) []byte) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	changed := change(bytes.Clone(data))
	if bytes.Equal(changed, data) {
		return errors.New(file + ": the edit changed nothing")
	}
	return os.WriteFile(file, changed, 0o644)
}

// missing are the files below source that are not below folder, sorted.
func missing(source, folder string) (out []string, err error) {
	err = filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, p)
		switch {
		case err != nil:
			return err
		case rel == ".git":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		if _, err := os.Lstat(filepath.Join(folder, rel)); errors.Is(err, fs.ErrNotExist) {
			out = append(out, rel)
		}
		return nil
	})
	return out, err
}
