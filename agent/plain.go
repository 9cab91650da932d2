package agent

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"satchel/bundle"
)

// maxValue bounds what one value may add to a sentence, in bytes.
const maxValue = 2 * bundle.MaxPath

// Plain makes s one line of plain text: control and invisible direction
// characters, and bytes that are no UTF-8, are shown as escapes.
func Plain(s string) string {
	if len(s) > maxValue {
		s = strings.ToValidUTF8(s[:maxValue], "") + "…"
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case unicode.IsControl(r) && r < 0x80:
			q := strconv.QuoteRune(r)
			b.WriteString(q[1 : len(q)-1])
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// Bytes is a size as people read it: 40 MB.
func Bytes(n int64) string {
	const unit = 1000
	switch {
	case n < unit:
		return strconv.FormatInt(n, 10) + " bytes"
	case n < unit*unit:
		return strconv.FormatInt((n+unit/2)/unit, 10) + " kB"
	case n < unit*unit*unit:
		return strconv.FormatInt((n+unit*unit/2)/(unit*unit), 10) + " MB"
	}
	return strconv.FormatFloat(float64(n)/(unit*unit*unit), 'f', 1, 64) + " GB"
}

var months = [...][2]string{
	{"January", "enero"}, {"February", "febrero"}, {"March", "marzo"}, {"April", "abril"},
	{"May", "mayo"}, {"June", "junio"}, {"July", "julio"}, {"August", "agosto"},
	{"September", "septiembre"}, {"October", "octubre"}, {"November", "noviembre"}, {"December", "diciembre"},
}

// date is a day and month as people write it: 20 November.
func (w Words) date(t time.Time) string {
	m := months[t.Month()-1]
	if w.spanish {
		return fmt.Sprintf("%d de %s", t.Day(), m[1])
	}
	return fmt.Sprintf("%d %s", t.Day(), m[0])
}
