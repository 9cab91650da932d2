package workdir

// Held gives the paths whose update the student took back, and that nothing
// new came for since.
func (c *Course) Held() (out []string) {
	for _, p := range sortedKeys(c.rec.files) {
		if c.rec.files[p].Held.held() {
			out = append(out, p)
		}
	}
	return out
}
