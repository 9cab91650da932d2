package notebook

// Clear gives data with no outputs and no execution counts: what it was before
// it was run. All else stays as it is spelled. The error is Check's.
func Clear(data []byte) ([]byte, error) {
	if err := Check(data); err != nil {
		return nil, err
	}
	s := &scanner{data: data}
	var out []byte
	from := 0
	put := func(value string) {
		s.next()
		out = append(append(out, data[from:s.at]...), value...)
		s.skip()
		from = s.at
	}
	s.object(func(key string) {
		if key != "cells" {
			s.skip()
			return
		}
		s.array(func() {
			s.object(func(key string) {
				switch key {
				case "outputs":
					put("[]")
				case "execution_count":
					put("null")
				default:
					s.skip()
				}
			})
		})
	})
	return append(out, data[from:]...), s.bad
}
