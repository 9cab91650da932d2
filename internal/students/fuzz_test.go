package students

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"satchel/bundle"
)

func seed(f *testing.F, pattern string) {
	files, err := filepath.Glob(filepath.Join(goldenDir, pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files %s: %v", pattern, err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// What is read is in order and within the limits, and can be written and read
// again.
func FuzzBatch(f *testing.F) {
	seed(f, "batch-*")
	f.Add([]byte(`{"format":1,"mode":"names"}` + "\n" + `{"kind":"login","time":"2026-11-23T12:00:00Z","user":"\ud800"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeBatch(data)
		if err != nil {
			return
		}
		for _, l := range b.Lines {
			if (l.User == "") != (b.Mode == Counts) || len(l.User) > MaxIdentity || l.Time.IsZero() {
				t.Fatalf("taken: %+v", l)
			}
			(&Student{}).take(l)
		}
		out, err := b.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeBatch(out)
		if err != nil || again.Bad != 0 || len(again.Lines) != len(b.Lines) {
			t.Fatalf("read back: %v, %d bad lines", err, again.Bad)
		}
	})
}

func FuzzShard(f *testing.F) {
	seed(f, "shard-*.json")
	f.Fuzz(func(t *testing.T, data []byte) {
		sh, err := decodeShard(data)
		if err != nil {
			return
		}
		p := Privacy{Mode: Names}
		sh.under(p.scheme())
		sh.take(Line{Kind: KindReceipt, Time: noon, User: "ana", Course: "c"})
		sh.buried(p, "ana")
		sh.age(p, noon)
		for i := range sh.Students {
			for j := range sh.Students[i].Servers {
				sh.Students[i].Servers[j].State(noon)
				sh.Students[i].Servers[j].FirstRequest()
			}
		}
		again(t, sh, func(data []byte) error { _, err := decodeShard(data); return err })
	})
}

func FuzzLedger(f *testing.F) {
	seed(f, "ledger-*")
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := decodeLedger(data)
		if err != nil {
			return
		}
		id := batchID{Run: "0123456789abcdef", N: 3}
		g.mark(id, noon)
		if _, ok := g.folded(id); !ok {
			t.Fatal("marked, and not there")
		}
		g.count(Line{Kind: KindLogin, Time: noon})
		again(t, g, func(data []byte) error { _, err := decodeLedger(data); return err })
		g.age(Privacy{}, noon.Add(time.Hour))
	})
}

func again(t *testing.T, v any, decode func([]byte) error) {
	data, err := json.Marshal(v)
	if err != nil {
		return // a time whose year has five digits
	}
	if err := decode(data); err != nil && len(data) < bundle.MaxHeadSize {
		t.Fatalf("written %s, read back: %v", data, err)
	}
}

func FuzzBatchKey(f *testing.F) {
	f.Add("receipts/2026-11-23/120000.045-0123456789abcdef-17")
	f.Fuzz(func(t *testing.T, key string) {
		if id, ok := parseBatchKey(key); ok && id.key() != key {
			t.Fatalf("%q is also %q", key, id.key())
		}
	})
}
