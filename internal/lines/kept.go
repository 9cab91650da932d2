package lines

import "bytes"

// Kept says whether every line that mine added over base is in result, as
// often as mine added it and anywhere in it. It is the net under bugs in a
// merge, so it shares nothing with one: it counts lines. How a line ends does
// not count, for a merge may take mine's endings for base's.
func Kept(base, mine, result []byte) bool {
	added := map[string]int{}
	count(added, mine, 1)
	count(added, base, -1)
	for line, n := range added {
		if n <= 0 {
			delete(added, line)
		}
	}
	if len(added) == 0 {
		return true
	}
	count(added, result, -1)
	for _, n := range added {
		if n > 0 {
			return false
		}
	}
	return true
}

func count(lines map[string]int, data []byte, by int) {
	for line := range bytes.Lines(data) {
		lines[string(bytes.TrimRight(line, "\r\n"))] += by
	}
}
