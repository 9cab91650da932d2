package notebook

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestMergeGolden runs testdata/merge: one case for each rule and each layout.
// What a text archive cannot hold stands in its comment: "crlf: mine" and
// "open: mine" (no newline at the end) hold for mine and for the result.
// go test -update writes what came out; read it before it is committed.
func TestMergeGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/merge/*.txtar")
	if len(files) < 40 {
		t.Fatalf("only %d cases", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { mergeGolden(t, file) })
	}
}

func mergeGolden(t *testing.T, file string) {
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]byte{}
	for _, f := range ar.Files {
		got[f.Name] = f.Data
	}
	comment := string(ar.Comment)
	mine := asMine(comment, got["mine.ipynb"])
	out, err := Merge("lab.ipynb", got["base.ipynb"], mine, got["theirs.ipynb"])
	want, said := asMine(comment, got["want.ipynb"]), spell(out, err)
	if *update {
		data := out.Data
		if strings.Contains(comment, "crlf: mine") {
			data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
		}
		writeGolden(t, file, ar, map[string]string{"want.ipynb": string(data), "said": said})
		return
	}
	if !bytes.Equal(out.Data, want) {
		t.Errorf("got\n%s\nwant\n%s", out.Data, want)
	}
	if said != string(got["said"]) {
		t.Errorf("said\n%s\nwant\n%s", said, got["said"])
	}
	if err != nil {
		return
	}
	again, err := Merge("lab.ipynb", got["base.ipynb"], out.Data, got["theirs.ipynb"])
	if err != nil || !bytes.Equal(again.Data, out.Data) {
		t.Errorf("merged again (%v):\n%s", err, again.Data)
	}
}

func asMine(comment string, data []byte) []byte {
	if strings.Contains(comment, "crlf: mine") {
		data = bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))
	}
	if strings.Contains(comment, "open: mine") {
		data = bytes.TrimRight(data, "\r\n")
	}
	return data
}

// spell writes what Merge said, a line each.
func spell(out Merged, err error) string {
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	var b strings.Builder
	for _, list := range []struct {
		name   string
		places []Place
	}{{"taken", out.Taken}, {"run", out.Run}, {"clash", out.Clash}} {
		for _, p := range list.places {
			fmt.Fprintf(&b, "%s %d %q\n", list.name, p.Number, p.Title)
		}
	}
	fmt.Fprintf(&b, "removed %d\n", out.Removed)
	return b.String()
}

func writeGolden(t *testing.T, file string, ar *txtar.Archive, made map[string]string) {
	var files []txtar.File
	for _, f := range ar.Files {
		if _, ok := made[f.Name]; !ok {
			files = append(files, f)
		}
	}
	for _, name := range []string{"want.ipynb", "said"} {
		files = append(files, txtar.File{Name: name, Data: []byte(made[name])})
	}
	ar.Files = files
	if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}
