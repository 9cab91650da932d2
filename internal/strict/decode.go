package strict

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Text is a text that remembers its line.
type Text struct {
	Value string
	Line  int
}

// Other names what people write instead of a key, where spelling alone does
// not lead to it: {"ignore": "hide"}.
type Other map[string]string

var (
	durationType  = reflect.TypeFor[time.Duration]()
	textType      = reflect.TypeFor[Text]()
	unmarshalType = reflect.TypeFor[yaml.Unmarshaler]()
)

// Decode sets *v, a struct or a slice, from n (nil: nothing). Struct fields
// are known by their yaml tags. A string takes any single value as it is
// written, an int64 a size ("10 GB"), a time.Duration "90s" or "180d", a Text
// its line too; a type of its own with UnmarshalYAML may return Problems.
func Decode(n *yaml.Node, v any, other Other) Problems {
	d := &decoder{other: other}
	if n != nil {
		d.value(n, reflect.ValueOf(v).Elem(), "")
	}
	return d.problems
}

// Line is where key stands in the mapping n, 0 where it does not.
func Line(n *yaml.Node, key string) int {
	if n == nil || n.Kind != yaml.MappingNode {
		return 0
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i].Line
		}
	}
	return 0
}

type decoder struct {
	other    Other
	problems Problems
}

func (d *decoder) add(n *yaml.Node, field, format string, args ...any) {
	d.problems = append(d.problems, Problem{Line: n.Line, Field: field, Reason: fmt.Sprintf(format, args...)})
}

func (d *decoder) value(n *yaml.Node, v reflect.Value, field string) {
	if v.CanAddr() && v.Addr().Type().Implements(unmarshalType) {
		d.own(n, v.Addr().Interface().(yaml.Unmarshaler), field)
		return
	}
	switch {
	case v.Type() == textType || v.Type() == durationType:
		d.scalar(n, v, field)
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), field)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, field)
	case v.Kind() == reflect.Slice:
		d.list(n, v, field)
	default:
		d.scalar(n, v, field)
	}
}

// own asks a type that reads itself.
func (d *decoder) own(n *yaml.Node, v yaml.Unmarshaler, field string) {
	for _, p := range List(v.UnmarshalYAML(n)) {
		if p.Line == 0 {
			p.Line = n.Line
		}
		if p.Field == "" {
			p.Field = field
		}
		d.problems = append(d.problems, p)
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.MappingNode {
		d.add(n, field, "%s is not expected here; write keys, as in {%s: …}", describe(n), firstKey(v.Type()))
		return
	}
	fields := Fields(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		index, known := fields[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode:
			d.add(key, field, "a key must be one word")
		case !known:
			d.unknown(key, fields)
		case seen[key.Value] > 0:
			d.add(key, key.Value, "stands here twice (also in line %d); keep one", seen[key.Value])
		case value.Tag == "!!null": // "key:" with nothing is as good as absent
		default:
			d.value(value, v.Field(index), key.Value)
		}
		seen[key.Value] = key.Line
	}
}

func (d *decoder) unknown(key *yaml.Node, fields map[string]int) {
	known := slices.Sorted(maps.Keys(fields))
	near := Nearest(key.Value, known)
	if o := d.other[strings.ToLower(key.Value)]; o != "" && slices.Contains(known, o) {
		near = o
	}
	if near != "" {
		d.add(key, "", "%q is not known here; did you mean %q?", Cut(key.Value), near)
		d.problems[len(d.problems)-1].Meant = near
		return
	}
	d.add(key, "", "%q is not known here; known are %s", Cut(key.Value), strings.Join(known, ", "))
}

// Fields gives the keys that a struct takes, with the fields' numbers.
func Fields(t reflect.Type) map[string]int {
	fields := map[string]int{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			fields[name] = i
		}
	}
	return fields
}

func firstKey(t reflect.Type) string {
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" && name != "-" {
			return name
		}
	}
	return "key"
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, field string) {
	switch {
	case n.Kind == yaml.ScalarNode && v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem() != textType:
		d.add(n, field, "is a list; begin each entry with a dash, as in - {%s: …}", firstKey(v.Type().Elem()))
		return
	case n.Kind == yaml.ScalarNode:
		d.add(n, field, "is a list; write %s: [%s]", field, quote(n))
		return
	case n.Kind != yaml.SequenceNode:
		d.add(n, field, "is a list; begin each entry with a dash (-)")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, c := range n.Content {
		if c.Tag == "!!null" {
			d.add(c, field, "an empty entry; fill it or take it out")
			continue
		}
		d.value(c, out.Index(i), field)
	}
	v.Set(out)
}

func quote(n *yaml.Node) string { return strconv.Quote(Cut(n.Value)) }

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.ScalarNode {
		d.add(n, field, "is %s; one value is expected", describe(n))
		return
	}
	var err error
	switch {
	case v.Type() == textType:
		v.Set(reflect.ValueOf(Text{n.Value, n.Line}))
	case v.Type() == durationType:
		var t time.Duration
		t, err = ParseDuration(n.Value)
		v.SetInt(int64(t))
	case v.Kind() == reflect.String:
		v.SetString(n.Value)
	case v.Kind() == reflect.Bool:
		err = setBool(n, v)
	case v.Kind() == reflect.Int64:
		var size int64
		size, err = ParseSize(n.Value)
		v.SetInt(size)
	case v.Kind() == reflect.Int:
		var i int
		if i, err = strconv.Atoi(n.Value); err != nil {
			err = fmt.Errorf("%q is not a whole number", Cut(n.Value))
		}
		v.SetInt(int64(i))
	default:
		panic("strict: no rule for " + v.Type().String()) // a mistake in our own struct
	}
	if err != nil {
		d.add(n, field, "%s", err)
	}
}

func setBool(n *yaml.Node, v reflect.Value) error {
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		v.SetBool(true)
	case "false", "no", "off":
		v.SetBool(false)
	default:
		return fmt.Errorf("%q is neither true nor false", Cut(n.Value))
	}
	return nil
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return quote(n)
}
