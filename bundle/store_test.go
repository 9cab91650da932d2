package bundle

import (
	"bytes"
	"io"
	"testing"
)

func TestStore(t *testing.T) {
	for _, size := range []int{0, 1, 128<<10 - 1, 128 << 10, 128<<10 + 1, 256 << 10, 3<<20 + 7} {
		data := bytes.Repeat([]byte("satchel"), size/7+1)[:size]
		var got []byte
		err := Decompress(bytes.NewReader(Store(data)), int64(size), func(r io.Reader) (err error) {
			got, err = io.ReadAll(r)
			return err
		})
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes: %d came back, error %v", size, len(got), err)
		}
	}
}

// A name of which the first letter says that it is none of those that mean
// something else is not looked at further; all others are.
func TestCheckNameFirstLetter(t *testing.T) {
	for _, name := range []string{".git", ".GIT", "GIT~1", "git~1", ".Satchel", "\u200c.git", "\ufeffgit~1", ".g\u200cit", "g\u200cit~1", ".git. ", ".git::$DATA"} {
		if CheckName(name) == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
	for _, name := range []string{"a.git", "unit01", "gift", ".gitignore", "Ünit", "x:.git"} {
		if err := CheckName(name); err != nil {
			t.Error(err)
		}
	}
}
