package notebook

// word reads a number or one of the words, and gives its spelling.
func (s *scanner) word() string { return string(s.bare()) }

func (s *scanner) bare() []byte {
	s.next()
	from := s.at
	for s.at < len(s.data) && isWordByte(s.data[s.at]) {
		s.at++
	}
	w := s.data[from:s.at]
	switch string(w) {
	case "true", "false", "null", "NaN", "Infinity", "-Infinity":
		return w
	}
	if !isNumber(w) {
		s.at = from
		s.unexpected("a value")
	}
	return w
}

func isWordByte(c byte) bool {
	return c == '-' || c == '+' || c == '.' || isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isNumber is JSON's grammar of a number, of any length and size.
func isNumber(w []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(w) && isDigit(w[i]) {
			i++
		}
		return i > from
	}
	if i < len(w) && w[i] == '-' {
		i++
	}
	whole := i
	if !digits() || (w[whole] == '0' && i > whole+1) {
		return false
	}
	if i < len(w) && w[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(w) && (w[i] == 'e' || w[i] == 'E') {
		if i++; i < len(w) && (w[i] == '+' || w[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(w)
}
