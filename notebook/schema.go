package notebook

import (
	"errors"
	"fmt"
	"strings"
)

// What follows is nbformat.v4.0.schema.json to nbformat.v4.5.schema.json, as
// nbformat reads them: what fastjsonschema refuses it asks jsonschema again,
// so the laxer of the two decides. (Python's $ lets one line end pass.)

// maxTags is more than the schema's rule that tags are unique can meet in a
// notebook that a person made; it bounds the memory.
const maxTags = 10_000

var (
	multiline  = either('[', listOf(text), text)
	count0     = word(atLeast(0), "null")
	boolean    = word(nil, "true", "false")
	anyObject  = object(nil, nil, anything)
	cellID     = textLike(func(s string) bool { return goodID(oneLine(s)) && len(s) <= maxID }, "not an id (1 to 64 of a-z A-Z 0-9 - _)")
	cellName   = textLike(func(s string) bool { s = oneLine(s); return s != "" && !strings.Contains(s, "\n") }, "empty or more than one line")
	scrolled   = either('"', textLike(func(s string) bool { return s == "auto" }, "not auto"), boolean)
	attached   = object(nil, nil, mimebundle)
	kernelspec = object([]string{"name", "display_name"}, map[string]rule{"name": text, "display_name": text}, anything)
	language   = object([]string{"name"}, map[string]rule{
		"name": text, "codemirror_mode": either('{', anything, text),
		"file_extension": text, "mimetype": text, "pygments_lexer": text,
	}, anything)
)

func oneLine(s string) string { return strings.TrimSuffix(s, "\n") }

func (v *validator) document() error {
	metadata := map[string]rule{"kernelspec": kernelspec, "language_info": language, "orig_nbformat": word(atLeast(1))}
	if v.minor >= 2 {
		metadata["title"], metadata["authors"] = text, listOf(anything)
	}
	return object([]string{"metadata", "nbformat_minor", "nbformat", "cells"}, map[string]rule{
		"metadata": object(nil, metadata, anything), "nbformat": word(atLeast(4)), "nbformat_minor": word(atLeast(0)),
		"cells": cells,
	}, nil)(v)
}

func cells(v *validator) error {
	v.ids = map[string]bool{}
	return listOf(oneCell)(v)
}

// oneCell finds the type first: the names of an object have no order.
func oneCell(v *validator) error {
	if err := v.newID(); err != nil {
		v.skip()
		return err
	}
	switch kind := plainText(v.peek("cell_type")); kind {
	case "raw":
		return v.cell(object(nil, v.cellMetadata(map[string]rule{"format": text}), anything), nil)
	case "markdown":
		return v.cell(object(nil, v.cellMetadata(map[string]rule{}), anything), nil)
	case "code":
		known := map[string]rule{"collapsed": boolean, "scrolled": scrolled}
		if v.minor >= 4 {
			known["execution"] = execution
		}
		return v.cell(object(nil, v.cellMetadata(known), anything), map[string]rule{"outputs": listOf(output), "execution_count": count0})
	default:
		if v.minor < 6 {
			v.skip()
			return fmt.Errorf("unknown type of cell %q", shorten(kind))
		}
		known := map[string]rule{"metadata": object(nil, map[string]rule{"name": cellName, "tags": tags}, anything)}
		return object([]string{"cell_type", "metadata"}, known, anything)(v)
	}
}

// newID notes the id of the cell that comes next, where it has one.
func (v *validator) newID() error {
	raw := v.peek("id")
	if v.minor < 5 || raw == nil {
		return nil
	}
	id := plainText(raw)
	if raw[0] != '"' {
		return errors.New("the id is not a text")
	}
	if v.ids[id] {
		return fmt.Errorf("the id %q is another cell's, too", shorten(id))
	}
	v.ids[id] = true
	return nil
}

func (v *validator) cellMetadata(known map[string]rule) map[string]rule {
	known["name"], known["tags"] = cellName, tags
	if v.minor >= 3 {
		known["jupyter"] = anyObject
	}
	return known
}

// cell is a cell of known type; code has more fields of its own, the others
// attachments.
func (v *validator) cell(metadata rule, code map[string]rule) error {
	required := []string{"cell_type", "metadata", "source"}
	known := map[string]rule{"cell_type": text, "metadata": metadata, "source": multiline}
	if code == nil {
		known["attachments"] = attached
	}
	for key, r := range code {
		required, known[key] = append(required, key), r
	}
	if v.minor >= 5 {
		required, known["id"] = append(required, "id"), cellID
	}
	return object(required, known, nil)(v)
}

func tags(v *validator) error {
	seen := map[string]bool{}
	fresh := func(tag string) bool {
		ok := tag != "" && !strings.Contains(tag, ",") && !seen[tag] && len(seen) < maxTags
		seen[tag] = true
		return ok
	}
	return listOf(textLike(fresh, "an empty or doubled tag, or one with a comma"))(v)
}

// execution holds times; a name of more than one line escapes the schema.
func execution(v *validator) error {
	return v.members(nil, func(key string) error {
		if strings.Contains(oneLine(key), "\n") {
			return anything(v)
		}
		return text(v)
	})
}

func output(v *validator) error {
	known := map[string]rule{"output_type": text}
	switch kind := plainText(v.peek("output_type")); kind {
	case "execute_result":
		known["execution_count"] = count0
		fallthrough
	case "display_data":
		known["data"], known["metadata"] = mimebundle, anyObject
	case "stream":
		known["name"], known["text"] = text, multiline
	case "error":
		known["ename"], known["evalue"], known["traceback"] = text, text, listOf(text)
	default:
		if v.minor < 6 {
			v.skip()
			return fmt.Errorf("unknown type of output %q", shorten(kind))
		}
		return object([]string{"output_type"}, known, anything)(v)
	}
	required := make([]string, 0, len(known))
	for key := range known {
		required = append(required, key)
	}
	return object(required, known, nil)(v)
}

// mimebundle holds data by media type: texts, but JSON may be anything.
func mimebundle(v *validator) error {
	return v.members(nil, func(key string) error {
		if v.minor >= 6 || isJSONType(key) {
			return anything(v)
		}
		return multiline(v)
	})
}

// isJSONType is Python's ^application/(.*\+)?json$.
func isJSONType(media string) bool {
	sub, ok := strings.CutPrefix(oneLine(media), "application/")
	return ok && (sub == "json" || strings.HasSuffix(sub, "+json") && !strings.Contains(sub, "\n"))
}
