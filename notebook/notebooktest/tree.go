package notebooktest

import (
	"encoding/json"
	"fmt"
	"strings"
)

// value is a JSON value: *object, list, text or word.
type value any

type object struct {
	keys   []string
	values []value
}

type list []value

type text string

// word is a number or a bare word, as it is spelled.
type word string

func (o *object) get(key string) value {
	for i, k := range o.keys {
		if k == key {
			return o.values[i]
		}
	}
	return nil
}

func (o *object) set(key string, v value) {
	for i, k := range o.keys {
		if k == key {
			o.values[i] = v
			return
		}
	}
	o.keys, o.values = append(o.keys, key), append(o.values, v)
}

func (o *object) drop(key string) {
	for i, k := range o.keys {
		if k == key {
			o.keys = append(o.keys[:i:i], o.keys[i+1:]...)
			o.values = append(o.values[:i:i], o.values[i+1:]...)
			return
		}
	}
}

// obj makes an object from names and values in turn.
func obj(pairs ...any) *object {
	o := &object{}
	for i := 0; i < len(pairs); i += 2 {
		o.set(pairs[i].(string), pairs[i+1])
	}
	return o
}

// parse reads JSON as Python does (NaN and the like too). It is for good
// notebooks: it panics on anything else.
func parse(data []byte) value {
	p := &parser{data: string(data)}
	return p.value()
}

type parser struct {
	data string
	at   int
}

func (p *parser) next() byte {
	for strings.IndexByte(" \t\r\n", p.data[p.at]) >= 0 {
		p.at++
	}
	return p.data[p.at]
}

// more steps over a comma, or over the end.
func (p *parser) more(end byte) bool {
	c := p.next()
	if c == ',' {
		p.at++
		return true
	}
	if c == end {
		p.at++
		return false
	}
	return true
}

func (p *parser) value() value {
	switch p.next() {
	case '{':
		p.at++
		o := &object{}
		for p.more('}') {
			p.next()
			key := p.text()
			p.next()
			p.at++ // the colon
			o.set(key, p.value())
		}
		return o
	case '[':
		p.at++
		l := list{}
		for p.more(']') {
			l = append(l, p.value())
		}
		return l
	case '"':
		return text(p.text())
	}
	from := p.at
	for p.at < len(p.data) && strings.IndexByte(" \t\r\n,]}", p.data[p.at]) < 0 {
		p.at++
	}
	return word(p.data[from:p.at])
}

func (p *parser) text() string {
	from := p.at
	for p.at++; p.data[p.at] != '"'; p.at++ {
		if p.data[p.at] == '\\' {
			p.at++
		}
	}
	p.at++
	var s string
	if err := json.Unmarshal([]byte(p.data[from:p.at]), &s); err != nil {
		panic(fmt.Sprintf("notebooktest: %q: %v", p.data[from:p.at], err))
	}
	return s
}
