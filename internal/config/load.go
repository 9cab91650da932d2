package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"satchel/course"
	"satchel/internal/secret"
	"satchel/internal/strict"
)

const (
	coursesDir     = "courses.d"
	maxFile        = 1 << 20 // bytes of one file
	maxCourseFiles = 5000
)

// Load reads the configuration at path and courses.d beside it, fills in the
// defaults and makes relative paths absolute. Its error is strict.Problems:
// every mistake, with file and line.
func Load(path string) (*Config, error) {
	l, err := readAll(path)
	if err != nil {
		return nil, err
	}
	return l.done()
}

// readAll reads and checks all of it.
func readAll(path string) (*loader, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	l := &loader{c: &Config{File: path, Dir: filepath.Dir(path)}}
	l.main()
	l.extra()
	l.c.setDefaults()
	if !l.unread {
		l.check(path, l.root, l.c.validate())
	}
	l.checkCourses()
	l.problems.Sort()
	return l, nil
}

// done is the configuration, unless there is a mistake in it.
func (l *loader) done() (*Config, error) {
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	l.c.lookAround()
	l.warnLoopback()
	return l.c, nil
}

// loader gathers what was read and what is wrong with it.
type loader struct {
	c        *Config
	root     *yaml.Node
	unread   bool    // root is nil because the file was not understood
	places   []place // of each course
	problems strict.Problems
}

// place is where a course stands.
type place struct {
	file string
	node *yaml.Node
}

// read gives the document in a file, nil where there is none.
func (l *loader) read(file string) *yaml.Node {
	data, err := readBounded(file, maxFile)
	if err != nil {
		l.problems = append(l.problems, strict.Problem{File: file, Reason: err.Error()})
		return nil
	}
	node, ps := strict.Parse(data, maxFile)
	l.problems = append(l.problems, ps.In(file)...)
	return node
}

func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, plainError(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, plainError(err)
	}
	return data, nil
}

var errMissing = errors.New("is not there")

// plainError drops the path, which stands in the message already.
func plainError(err error) error {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errMissing
	case errors.As(err, &pe):
		return fmt.Errorf("cannot be read: %w", pe.Err)
	}
	return err
}

// otherWords are what people write instead of a key.
var otherWords = strict.Other{
	"repo": "repository", "git": "repository", "folder_name": "folder", "key": "deploy_key_file", "deploy_key": "deploy_key_file",
	"known_hosts": "known_hosts_file", "students": "audience", "hooks": "webhook", "bucket": "s3", "state": "state_dir",
	"course": "courses", "hook_secret": "hook_secrets", "ticket_key": "ticket_keys", "signing_key": "signing_keys", "public_key": "public_keys",
}

func (l *loader) main() {
	l.root = l.read(l.c.File)
	l.unread = len(l.problems) > 0
	l.problems = append(l.problems, strict.Decode(l.root, l.c, otherWords).In(l.c.File)...)
	list := value(l.root, "courses")
	for i := range l.c.Courses {
		l.places = append(l.places, place{l.c.File, list.Content[i]})
	}
}

// value is what stands under key in a mapping, nil where nothing does.
func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// extra reads courses.d.
func (l *loader) extra() {
	files, others := courseFiles(l.c.Dir)
	for _, f := range others {
		l.c.Warnings = append(l.c.Warnings, strict.Problem{File: f, Reason: "not read; only names that end with .yaml are"})
	}
	if len(files) > maxCourseFiles {
		l.problems = append(l.problems, strict.Problem{File: filepath.Join(l.c.Dir, coursesDir), Reason: fmt.Sprintf("more than %d files", maxCourseFiles)})
		return
	}
	for _, file := range files {
		node := l.read(file)
		if node == nil {
			continue
		}
		list := []*yaml.Node{node}
		if node.Kind == yaml.SequenceNode {
			list = node.Content
		}
		for _, n := range list {
			var c course.Course
			l.problems = append(l.problems, strict.Decode(n, &c, otherWords).In(file)...)
			l.c.Courses = append(l.c.Courses, c)
			l.places = append(l.places, place{file, n})
		}
	}
}

// courseFiles lists what courses.d holds in the order of names: courses, and
// what only looks like one.
func courseFiles(dir string) (files, others []string) {
	entries, _ := os.ReadDir(filepath.Join(dir, coursesDir)) // absent is fine
	for _, e := range entries {
		name, file := e.Name(), filepath.Join(dir, coursesDir, e.Name())
		switch ext := strings.ToLower(filepath.Ext(name)); {
		case strings.HasPrefix(name, "."): // editors, and Kubernetes' own links
		case ext == ".yaml" && strings.HasSuffix(name, ".yaml"):
			files = append(files, file)
		case ext == ".yml" || ext == ".yaml":
			others = append(others, file)
		}
	}
	return files, others
}

// check gives problems their file, and the line of the key they name: a path
// such as "listen.students" below n. What was not even understood there is
// not told twice, nor is a key missing that stands there misspelt.
func (l *loader) check(file string, n *yaml.Node, ps strict.Problems) {
	for _, p := range ps {
		p.File = file
		if p.Line == 0 {
			p.Line = lineOf(n, p.Field)
		}
		told := slices.ContainsFunc(l.problems, func(o strict.Problem) bool {
			return o.File == p.File && o.Line == p.Line && o.Field != "" && o.Field == p.Field
		})
		if !told && !l.misspelt(file, n, p.Field) {
			l.problems = append(l.problems, p)
		}
	}
}

// misspelt says whether another key stands where field, a path below n, is
// missing, and is told already.
func (l *loader) misspelt(file string, n *yaml.Node, field string) bool {
	above, key := "", field
	if i := strings.LastIndexByte(field, '.'); i >= 0 {
		above, key = field[:i], field[i+1:]
	}
	for name := range strings.FieldsFuncSeq(above, func(r rune) bool { return r == '.' }) {
		n = value(n, name)
	}
	if n == nil || n.Kind != yaml.MappingNode || strict.Line(n, key) > 0 {
		return false
	}
	return slices.ContainsFunc(l.problems, func(o strict.Problem) bool {
		standsHere := func(k *yaml.Node) bool { return k.Line == o.Line }
		return o.File == file && o.Meant == key && slices.ContainsFunc(n.Content, standsHere)
	})
}

func lineOf(n *yaml.Node, field string) (line int) {
	if n == nil {
		return 0
	}
	line = n.Line
	for key := range strings.SplitSeq(field, ".") {
		at := strict.Line(n, key)
		if at == 0 {
			return line
		}
		line, n = at, value(n, key)
	}
	return line
}

func (l *loader) checkCourses() {
	first := map[course.Name]place{}
	for i := range l.c.Courses {
		c, at := &l.c.Courses[i], l.places[i]
		if at.node.Kind != yaml.MappingNode {
			continue
		}
		c.SetDefaults()
		l.c.absolute(c)
		l.check(at.file, at.node, strict.List(c.Validate()))
		if was, twice := first[c.Name]; twice && c.Name != "" {
			l.check(at.file, at.node, strict.Problems{{Field: "name", Reason: fmt.Sprintf(
				"%q is a course already (%s:%d); each needs a name of its own", c.Name, was.file, lineOf(was.node, "name"))}})
		}
		first[c.Name] = at
	}
}

// absolute makes a course's paths so.
func (c *Config) absolute(k *course.Course) {
	if k.CAFile == "" {
		k.CAFile = c.CAFile
	}
	if r := k.Repository; strings.HasPrefix(r, "./") || strings.HasPrefix(r, "../") {
		k.Repository = c.path(r)
	}
	files := []*string{&k.KnownHostsFile, &k.ProxyFile, &k.CAFile, &k.Audience.UsersFile}
	for i := range k.DeployKeyFiles {
		files = append(files, &k.DeployKeyFiles[i])
	}
	for i := range k.TokenFiles {
		files = append(files, &k.TokenFiles[i])
	}
	if k.GitHubApp != nil {
		files = append(files, &k.GitHubApp.KeyFile)
	}
	if k.Webhook != nil {
		for i := range k.Webhook.SecretFiles {
			files = append(files, &k.Webhook.SecretFiles[i])
		}
	}
	for _, f := range files {
		*f = c.path(*f)
	}
}

// path is p, relative to the configuration's folder; what stands in the
// environment, and nothing at all, stays.
func (c *Config) path(p string) string {
	if p == "" || strings.HasPrefix(p, secret.EnvPrefix) || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(c.Dir, p)
}
