package notebook

import "bytes"

// leap steps over a value that is known to be good.
func (s *scanner) leap() {
	depth := 0
	for s.next(); s.at < len(s.data); {
		switch c := s.data[s.at]; {
		case c == '"':
			s.leapText()
		case c == '{' || c == '[':
			depth++
			s.at++
		case c == '}' || c == ']':
			depth--
			s.at++
		case isWordByte(c):
			for s.at < len(s.data) && isWordByte(s.data[s.at]) {
				s.at++
			}
		default:
			s.at++
			continue
		}
		if depth == 0 {
			return
		}
	}
}

func (s *scanner) leapText() {
	for s.at++; s.at < len(s.data); {
		n := bytes.IndexByte(s.data[s.at:], '"')
		if n < 0 {
			s.at = len(s.data)
			return
		}
		end := s.at + n
		s.at = end + 1
		for n = end; s.data[n-1] == '\\'; n-- {
		}
		if (end-n)%2 == 0 {
			return
		}
	}
}
