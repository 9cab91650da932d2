package course

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// FileMemo is a Memo in one file, which is only ever appended to:
//
//	HEX JSON
//
// one line for each fact, with the first 16 hexadecimal digits of the JSON's
// SHA-256. A line that was torn by a crash, or damaged, is passed over: what
// is forgotten is only read again. It is safe for several goroutines, and
// several processes may append to one file.
type FileMemo struct {
	path string

	mu    sync.Mutex
	facts map[string]Fact
	fresh bytes.Buffer // lines that are not in the file yet
}

// memoName holds the number of what inspectContent finds: with other rules,
// or another form, all contents must be looked at anew.
const (
	memoName  = "facts-2"
	maxFacts  = 300_000
	maxMemo   = 256 << 20 // bytes of the file; beyond it is written anew
	maxRecord = 64 << 10
)

type record struct {
	ID   string `json:"id"`
	Fact Fact   `json:"fact"`
}

// OpenMemo reads the memo in dir, which it makes, and deletes those that
// older versions wrote.
func OpenMemo(dir string) (*FileMemo, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open the memo of contents: %w", err)
	}
	m := &FileMemo{path: filepath.Join(dir, memoName), facts: map[string]Fact{}}
	old, _ := filepath.Glob(filepath.Join(dir, "facts-*"))
	for _, name := range old {
		if name != m.path {
			os.Remove(name)
		}
	}
	f, err := os.Open(m.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return m, nil
	case err != nil:
		return nil, fmt.Errorf("open the memo of contents: %w", err)
	}
	defer f.Close()
	lines, size := m.read(f)
	if size > maxMemo || lines > 2*len(m.facts)+1000 {
		return m, m.rewrite()
	}
	return m, nil
}

// read takes what is whole and says how much there was.
func (m *FileMemo) read(r io.Reader) (lines int, size int64) {
	b := bufio.NewReaderSize(r, maxRecord)
	for long := false; ; {
		line, err := b.ReadSlice('\n')
		size += int64(len(line))
		switch {
		case err == bufio.ErrBufferFull:
			long = true
			continue
		case err != nil:
			return lines, size
		}
		lines++
		rec, ok := parseRecord(line)
		if ok && !long && len(m.facts) < maxFacts {
			m.facts[rec.ID] = rec.Fact
		}
		long = false
	}
}

func parseRecord(line []byte) (rec record, ok bool) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	sum, text, found := bytes.Cut(line, []byte(" "))
	if !found || string(sum) != recordSum(text) {
		return rec, false
	}
	err := json.Unmarshal(text, &rec)
	return rec, err == nil && rec.ID != "" && !rec.Fact.Digest.IsZero() && rec.Fact.Size >= 0
}

func recordSum(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Get gives the fact of a content.
func (m *FileMemo) Get(id string) (Fact, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, ok := m.facts[id]
	return f, ok
}

// Put remembers a fact until Save.
func (m *FileMemo) Put(id string, f Fact) {
	line, err := encodeRecord(id, f)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.facts) >= maxFacts {
		clear(m.facts) // bounded, and as good as lost: it only costs time
	}
	m.facts[id] = f
	m.fresh.Write(line)
}

func encodeRecord(id string, f Fact) ([]byte, error) {
	text, err := json.Marshal(record{id, f})
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecord-20 || strings.ContainsAny(id, "\n") {
		return nil, fmt.Errorf("a fact of %d bytes", len(text))
	}
	return fmt.Appendf(nil, "%s %s\n", recordSum(text), text), nil
}

// Save appends what is new. An error means that it stays for the next Save.
func (m *FileMemo) Save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fresh.Len() == 0 {
		return nil
	}
	f, err := os.OpenFile(m.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("save the memo of contents: %w", err)
	}
	defer f.Close()
	data := m.fresh.Bytes()
	if torn(f) {
		data = append([]byte("\n"), data...)
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("save the memo of contents: %w", err)
	}
	m.fresh.Reset()
	return nil
}

// torn says whether the file ends in the middle of a line.
func torn(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	last := []byte{0}
	_, err = f.ReadAt(last, info.Size()-1)
	return err != nil || last[0] != '\n'
}

// rewrite leaves out what is damaged or doubled.
func (m *FileMemo) rewrite() error {
	var b bytes.Buffer
	for id, f := range m.facts {
		if line, err := encodeRecord(id, f); err == nil && b.Len() < maxMemo/2 {
			b.Write(line)
		}
	}
	fresh := m.path + ".new"
	if err := os.WriteFile(fresh, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("save the memo of contents: %w", err)
	}
	if err := os.Rename(fresh, m.path); err != nil {
		return fmt.Errorf("save the memo of contents: %w", err)
	}
	return nil
}
