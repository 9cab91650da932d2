package strict

import (
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

type sample struct {
	Name  string        `yaml:"name"`
	Count int           `yaml:"count"`
	Size  int64         `yaml:"size"`
	Wait  time.Duration `yaml:"wait"`
	On    bool          `yaml:"on"`
	List  []Text        `yaml:"list"`
	Inner *inner        `yaml:"inner"`
	Own   own           `yaml:"own"`
	Not   string        `yaml:"-"`
}

type inner struct {
	Names []string `yaml:"names"`
}

type own struct{ text string }

func (o *own) UnmarshalYAML(n *yaml.Node) error {
	if o.text = n.Value; o.text == "bad" {
		return Problems{{Reason: "is bad"}}
	}
	return nil
}

func read(text string) (sample, Problems) {
	var s sample
	n, ps := Parse([]byte(text), 1<<10)
	if ps == nil {
		ps = Decode(n, &s, Other{"title": "name"})
	}
	return s, ps
}

func TestDecode(t *testing.T) {
	s, ps := read("\xef\xbb\xbfname: 2026-01-02\ncount: 3\nsize: 1.5 kB\nwait: 1d2h\non: yes\nlist: [a, \"*b\"]\ninner: {names: [x]}\nown: y\n")
	if ps != nil {
		t.Fatal(ps)
	}
	if s.Name != "2026-01-02" || s.Count != 3 || s.Size != 1500 || s.Wait != 26*time.Hour || !s.On ||
		s.List[1] != (Text{"*b", 6}) || s.Inner.Names[0] != "x" || s.Own.text != "y" {
		t.Errorf("%+v", s)
	}
	for _, empty := range []string{"", "# nothing", "---\n", "null", "name:\nlist: ~\n"} {
		if s, ps := read(empty); ps != nil || s.Name != "" || s.List != nil {
			t.Errorf("%q: %+v, %v", empty, s, ps)
		}
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"nmae: x":                     `line 1: "nmae" is not known here; did you mean "name"?`,
		"NAME: x":                     `did you mean "name"?`,
		"title: x":                    `did you mean "name"?`,
		"zzzzzz: x":                   `known are count, inner, list, name, on, own, size, wait`,
		"Not: x":                      `"Not" is not known`,
		"name: a\nname: b":            "line 2: name: stands here twice (also in line 1)",
		"name: [a]":                   "name: is a list; one value",
		"name: {a: b}":                "name: is a group of keys",
		"count: 1.5":                  `"1.5" is not a whole number`,
		"on: maybe":                   "neither true nor false",
		"list: a":                     `list: is a list; write list: ["a"]`,
		"list: {a: b}":                "begin each entry with a dash",
		"list: [a, ]\nlist2: x":       `line 2: "list2"`,
		"list:\n- a\n-\n":             "line 3: list: an empty entry",
		"inner: x":                    "write keys, as in {names: …}",
		"inner: [x]":                  "inner: a list is not expected here",
		"own: bad":                    "line 1: own: is bad",
		"- a":                         "a list is not expected here",
		"[a]: b":                      "a key must be one word",
		"a: b: c":                     `line 1: not understood as YAML: a text with ": " in it needs quotes`,
		"list: [*.key]":               `*.key needs quotes: "*.key"`,
		"list:\n- a\n- *x\n":          `line 3: not understood as YAML: *x needs quotes: "*x"`,
		"list: [!keep.txt]":           `!keep.txt needs quotes: "!keep.txt"`,
		"list:\n- !keep.txt\n":        "needs quotes, as every text that begins with !",
		"name: @x":                    "needs quotes",
		"name: \"x":                   "not understood",
		"[":                           "line 1: not understood as YAML: a value is missing",
		"list: [a":                    "must end with ]",
		"name: x\ninner: {a: :80}\n":  `line 2: not understood as YAML: put it in quotes: ":80"`,
		"list: [x, ::1]":              `line 1: not understood as YAML: put it in quotes: "::1"`,
		"name: x\nlist: [a,\n  :b]":   `line 3: not understood as YAML: put it in quotes: ":b"`,
		"name: x\nlist: [a, ,]\n":     "line 2: not understood as YAML: a value is missing",
		"name: x\ncount: 1\nlist: [b": "line 3: not understood as YAML: a list that begins with [",
		"name: &a x\nown: *a":         "line 2: *a needs quotes",
		"name: !!binary aGk=":         "needs quotes",
		"name: x\n\tcount: 1":         "line 2: a tab at the beginning",
		"name: a\x00b":                "line 1: the control character U+0000",
		"name: x\n\xff":               "line 2: a character that is not UTF-8",
		"\xff\xfen\x00":               "saved as UTF-16",
		"name: a\n---\nname: b":       "a second document",
		"wait: 60":                    "60s for seconds",
		"wait: soon":                  "no length of time",
		"wait: -1s":                   "negative",
		"wait: 999999d":               "lifetime",
		"size: 1 PB":                  "no size",
		"size: 99999999999999999 GB":  "too large",
		strings.Repeat("#", 2000):     "larger than 1 KiB",
	} {
		_, ps := read(text)
		if !strings.Contains(ps.Error(), want) {
			t.Errorf("%q: %q, want %q", text, ps.Error(), want)
		}
	}
}

// TestBomb: what would be a billion texts is refused before it is any.
func TestBomb(t *testing.T) {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		text += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 9) + "]\n"
	}
	if _, ps := read(text); ps == nil {
		t.Error("accepted")
	}
	if _, ps := read("inner: " + strings.Repeat("[", 900)); ps == nil {
		t.Error("deep nesting accepted")
	}
}

func TestNearest(t *testing.T) {
	known := []string{"hide", "message", "folder_name", "language"}
	for word, want := range map[string]string{
		"hdie": "hide", "hides": "hide", "mesage": "message", "folder-name": "folder_name", "foldername": "folder_name",
		"Language": "language", "langauge": "language", "x": "", "": "", "completely": "", "hi": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"año", "ano", 1}, {"abcdef", "uvwxyz", 4}} {
		if got := Distance(c.a, c.b, 3); got != c.want {
			t.Errorf("%s %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: x\nlist: [a, b]\ninner: {names: [c]}\nwait: 1d\nsize: 1MB\n"))
	f.Add([]byte("a: &a [x]\nb: *a\n<<: *a\n"))
	f.Add([]byte("- !x y\n? [a]\n: |\n  z\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, ps := Parse(data, 4<<10)
		if ps == nil {
			var s sample
			ps = Decode(n, &s, nil)
		}
		for _, p := range ps {
			if text := p.String(); strings.ContainsAny(text, "\n\r\x00") || len(text) > 1000 {
				t.Fatalf("not one line: %q", text)
			}
		}
	})
}
