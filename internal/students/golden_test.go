package students

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"errors"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// With -golden missing files are made; one that is there is never changed.
var makeGolden = flag.Bool("golden", false, "make golden files that are missing")

const goldenDir = "testdata/golden/v1"

func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join(goldenDir, name)
	want, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && *makeGolden {
		want, err = got, errors.Join(os.MkdirAll(goldenDir, 0o755), os.WriteFile(path, got, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is written otherwise than format 1 was: %s", name, d)
	}
	return want
}

func goldenLines(p Privacy) (out []Line) {
	r := receipt("ana", "lab", "scala101", noon.Add(9*time.Second))
	r.Code, r.Changed, r.Removed, r.Waiting, r.Cut = "disk_full", 2, 1, 4, 7
	r.Merged, r.Failed = []string{"hw1/lab 1.ipynb"}, []string{"data/ä.csv"}
	r.Keys = []string{"5d41402abc4b2a76"}
	for _, l := range []Line{login("ana", "lab", noon), request("ana", "lab", noon.Add(4*time.Second), noon.Unix()), r} {
		l, _ := l.clean()
		l, _ = p.convert(l, scheme{Mode: Names})
		out = append(out, l)
	}
	return out
}

func TestGoldenBatches(t *testing.T) {
	for _, p := range []Privacy{names, pseud, count} {
		b := &batch{header: header{Format: Format, scheme: p.scheme(), By: "hook1"}, Lines: goldenLines(p)}
		data, err := b.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeBatch(golden(t, "batch-"+p.Mode+".jsonl", data))
		if err != nil || back.Bad > 0 {
			t.Fatalf("%d bad lines, %v", back.Bad, err)
		}
		if d := cmp.Diff(b.Lines, back.Lines); d != "" {
			t.Error(d)
		}
	}
}

func TestGoldenShards(t *testing.T) {
	for _, p := range []Privacy{names, pseud} {
		sh := &shard{}
		sh.under(p.scheme())
		for _, l := range goldenLines(p) {
			sh.take(l)
		}
		stone := p.tombstone("bob", noon)
		stone.Salt = "000102030405060708090a0b0c0d0e0f"
		stone.ID = p.tombstoneID(stone.Salt, p.nameOf("bob"))
		sh.Forgotten = append(sh.Forgotten, stone)
		back, err := decodeShard(golden(t, "shard-"+p.Mode+".json", []byte(encode(t, sh))))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(sh, back, cmp.AllowUnexported(shard{}), cmpopts.IgnoreFields(shard{}, "damaged")); d != "" {
			t.Error(d)
		}
		if !back.buried(p, p.nameOf("bob")).Equal(noon) {
			t.Error("the tombstone is not recognised any more")
		}
	}
}

func TestGoldenLedgers(t *testing.T) {
	for _, p := range []Privacy{names, pseud, count} {
		g := &ledger{Format: Format, scheme: p.scheme(), Through: noon, Swept: noon, Aged: noon}
		for _, n := range []int64{1, 2, 4} {
			g.mark(batchID{Run: "0123456789abcdef", N: n}, noon)
		}
		if p.Mode == Counts {
			for _, l := range goldenLines(p) {
				g.count(l)
			}
		}
		back, err := decodeLedger(golden(t, "ledger-"+p.Mode+".json", []byte(encode(t, g))))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(g, back, cmp.AllowUnexported(ledger{}), cmpopts.IgnoreFields(ledger{}, "damaged")); d != "" {
			t.Error(d)
		}
	}
}

// Where things lie is part of the format, too.
func TestGoldenKeys(t *testing.T) {
	id := batchID{Time: noon.Add(45 * time.Millisecond), Run: "0123456789abcdef", N: 17}
	if got := id.key(); got != "receipts/2026-11-23/120000.045-0123456789abcdef-17" {
		t.Error(got)
	}
	if back, ok := parseBatchKey(id.key()); !ok || back != id {
		t.Errorf("read back as %+v, %v", back, ok)
	}
	if got := shardKey("ana"); got != "students/"+string(golden(t, "shard-of-ana", []byte(got[len(studentsPrefix):]))) {
		t.Error(got)
	}
	for _, bad := range []string{"", "receipts/", "receipts/x", id.key() + "/", id.key() + "-1", "receipts/2026-11-23/120000.045-0123456789ABCDEF-17",
		"receipts/2026-11-23/120000.045-0123456789abcdef-017", "receipts/2026-11-23/120000.045-0123456789abcdef-0", "receipts/2026-11-23/120000.045-0123456789abcdef--1",
		"receipts/2026-13-23/120000.045-0123456789abcdef-1", "receipts/../record"} {
		if id, ok := parseBatchKey(bad); ok {
			t.Errorf("%q read as %+v", bad, id)
		}
	}
}
