package notebook

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Validate checks data against the JSON schema of nbformat 4, of its own minor
// format: 4.0 to 4.5, and for later ones 4.5 with unknown fields, cells and
// outputs allowed, as nbformat does. From 4.5 on each cell has an id, and they
// are unique. It is stricter than Check, which it begins with; Jupyter opens
// also what is not valid, with a warning.
//
// nil is given exactly where nbformat 5.11.1 says isvalid (held by a test
// against it), but for Check's own bounds. nbformat.validate also takes missing
// and doubled ids, which it repairs in memory.
func Validate(data []byte) error {
	if err := Check(data); err != nil {
		return err
	}
	return validate(data)
}

// validate is Validate of what passed Check.
func validate(data []byte) error {
	v := &validator{scanner: scanner{data: data, trusted: true}}
	minor := string(v.peek("nbformat_minor"))
	if minor == "" {
		return errors.New("nbformat_minor is missing")
	}
	v.minor = min(atoi(minor), 6)
	return v.document()
}

// atoi reads a whole number; what is none, or too large, is a very large one.
func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 1 << 30
	}
	return n
}

// validator walks through good JSON by the rules of schema.go. Each rule steps
// over one value and says what is wrong with it.
type validator struct {
	scanner
	minor int // 6 stands for all later ones
	ids   map[string]bool
}

type rule func(v *validator) error

// members holds an object to one, name by name. Of a name that stands twice
// the last counts, as for all readers.
func (v *validator) members(required []string, one func(key string) error) error {
	if v.next() != '{' {
		v.skip()
		return errors.New("not an object")
	}
	var bad map[string]error
	missing := slices.Clone(required)
	v.object(func(key string) {
		if i := slices.Index(missing, key); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		}
		err := one(key)
		if err != nil && bad == nil {
			bad = map[string]error{}
		}
		if err != nil && len(bad) <= maxKeys {
			bad[key] = err
		} else if err == nil {
			delete(bad, key)
		}
	})
	for _, key := range slices.Sorted(maps.Keys(bad)) {
		return fmt.Errorf("%s: %w", strconv.Quote(shorten(key)), bad[key])
	}
	for _, key := range missing {
		return fmt.Errorf("%q is missing", key)
	}
	return nil
}

// object holds an object to rules by name; other (nil: not allowed) is for all
// others.
func object(required []string, known map[string]rule, other rule) rule {
	return func(v *validator) error {
		return v.members(required, func(key string) error {
			if r, ok := known[key]; ok {
				return r(v)
			}
			if other == nil && v.minor < 6 {
				v.skip()
				return errors.New("not a field of this format")
			}
			if other == nil {
				return anything(v)
			}
			return other(v)
		})
	}
}

func listOf(one rule) rule {
	return func(v *validator) (err error) {
		if v.next() != '[' {
			v.skip()
			return errors.New("not a list")
		}
		n := 0
		v.array(func() {
			n++
			if err != nil {
				v.skip()
			} else if bad := one(v); bad != nil {
				err = fmt.Errorf("%d: %w", n, bad)
			}
		})
		return err
	}
}

func anything(v *validator) error { v.skip(); return nil }

// textLike is a text for which ok is true.
func textLike(ok func(string) bool, what string) rule {
	return func(v *validator) error {
		if v.next() != '"' {
			v.skip()
			return errors.New("not a text")
		}
		if !ok(v.text()) {
			return errors.New(what)
		}
		return nil
	}
}

func text(v *validator) error {
	if v.next() != '"' {
		v.skip()
		return errors.New("not a text")
	}
	v.skip()
	return nil
}

// word is one of some bare words, or a number that number takes.
func word(number func(string) bool, words ...string) rule {
	return func(v *validator) error {
		if c := v.next(); c == '"' || c == '{' || c == '[' {
			v.skip()
			return errors.New("not " + strings.Join(words, " or "))
		}
		if w := v.word(); !slices.Contains(words, w) && !(number != nil && number(w)) {
			return fmt.Errorf("%s is not allowed here", shorten(w))
		}
		return nil
	}
}

// atLeast takes whole numbers; JSON's 1.0 is none for nbformat.
func atLeast(least int) func(string) bool {
	return func(w string) bool {
		digits := strings.TrimPrefix(w, "-")
		if digits == "" || strings.Trim(digits, "0123456789") != "" {
			return false
		}
		if digits != w {
			return least <= 0 && digits == "0"
		}
		return len(w) > 9 || atoi(w) >= least
	}
}

// either holds a value to the first rule where it begins with c.
func either(c byte, first, second rule) rule {
	return func(v *validator) error {
		if v.next() == c {
			return first(v)
		}
		return second(v)
	}
}

// peek gives the value of a name in the object that comes next, and stays
// before it.
func (v *validator) peek(key string) (value []byte) {
	if v.next() != '{' {
		return nil
	}
	from := v.at
	v.object(func(k string) {
		v.next()
		at := v.at
		v.skip()
		if k == key {
			value = v.data[at:v.at]
		}
	})
	v.at = from
	return value
}
