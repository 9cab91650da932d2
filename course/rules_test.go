package course

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"satchel/bundle"
	"satchel/internal/strict"
)

func TestRules(t *testing.T) {
	r, err := ParseRules([]byte("\xef\xbb\xbfhide: [drafts/, \"*.key\", 2026]\r\nmessage: \"Homework 1: out.\"\r\nfolder_name: 2026\r\nlanguage: es\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Hide, []string{"drafts/", "*.key", "2026"}) || r.Message != "Homework 1: out." || r.FolderName != "2026" || r.Language != "es" {
		t.Errorf("%+v", r)
	}
	for _, nothing := range []string{"", "# nothing\n", "hide:\nmessage: ''\n", "hide: []\n"} {
		if r, err := ParseRules([]byte(nothing)); err != nil || len(r.Hide) > 0 || r.Message != "" {
			t.Errorf("%q: %+v, %v", nothing, r, err)
		}
	}
	if r, err := ParseRules([]byte("message: |\n  One line.\n")); err != nil || r.Message != "One line." {
		t.Errorf("a block of one line: %q, %v", r.Message, err)
	}
}

// TestRulesMistakes runs one file per case: the rules, and what is said.
func TestRulesMistakes(t *testing.T) {
	cases, _ := filepath.Glob("testdata/rules/*.txtar")
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = ParseRules([]byte(secrets.Replace(string(a.Files[0].Data))))
			got := ""
			for _, p := range strict.List(err) {
				got += p.String() + "\n"
			}
			if *update {
				a.Files[1].Data = []byte(got)
				os.WriteFile(file, txtar.Format(a), 0o644)
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestRulesBounds(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"too large":     {"hide: [" + strings.Repeat("a, ", 100_000) + "]", "larger than 256 KiB"},
		"many patterns": {"hide: [" + strings.Repeat("a, ", 600) + "b]", "601 patterns; at most 500"},
		"many rules":    {"policy: [" + strings.Repeat("{path: a, is: once}, ", 600) + "]", "line 1: policy: 600 patterns; at most 500"},
		"long rule":     {"policy: [{path: " + strings.Repeat("a", 600) + ", is: once}]", "longer than 500 bytes"},
		"long pattern":  {"hide: [" + strings.Repeat("a", 600) + "]", "longer than 500 bytes"},
		"long message":  {"message: " + strings.Repeat("é", bundle.MaxMessage+1), "longer than 2000 characters"},
		"deep":          {"hide: " + strings.Repeat("[", 20_000), "not understood"},
		"UTF-16":        {"\xff\xfeh\x00", "UTF-16"},
	} {
		_, err := ParseRules([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %.200v, want %q", name, err, c.want)
		}
	}
	if _, err := ParseRules([]byte("message: " + strings.Repeat("é", bundle.MaxMessage))); err != nil {
		t.Errorf("a message of the full length: %v", err)
	}
}

func FuzzParseRules(f *testing.F) {
	cases, _ := filepath.Glob("testdata/rules/*.txtar")
	for _, file := range cases {
		if a, err := txtar.ParseFile(file); err == nil {
			f.Add(a.Files[0].Data)
		}
	}
	f.Add([]byte("hide: [drafts/, \"*.key\"]\nmessage: x\nfolder_name: y\nlanguage: es\npolicy: [{path: a/, is: once}]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRules(data)
		for _, p := range strict.List(err) {
			if text := p.String(); strings.ContainsAny(text, "\n\r\x00") || !utf8.ValidString(text) {
				t.Fatalf("not one line: %q", text)
			}
		}
		if err != nil {
			return
		}
		head := bundle.Settings{Folder: r.FolderName}
		if head.Folder != "" && bundle.CheckFolder(head.Folder) != nil {
			t.Fatalf("folder %q", head.Folder)
		}
		if utf8.RuneCountInString(r.Message) > bundle.MaxMessage || strings.ContainsAny(r.Message, "\n\r") {
			t.Fatalf("message %q", r.Message)
		}
		r.hide.Hidden("a/b", false)
		for i, p := range r.Policy {
			if !p.Is.Known() || r.policyOf(r.policy.last("a/b", false, nil)) == "" || r.policy[i].negated {
				t.Fatalf("policy %+v", p)
			}
		}
	})
}
