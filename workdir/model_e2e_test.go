//go:build e2e

package workdir

import (
	"testing"

	"satchel/notebook/notebooktest"
)

func init() {
	judge = func(t *testing.T, notebooks map[string][]byte) {
		for name, says := range notebooktest.Nbformat(t, notebooks) {
			if !says.Valid {
				t.Errorf("nbformat refuses what a merge made:\n%s", notebooks[name])
			}
		}
		t.Logf("nbformat takes %d notebooks", len(notebooks))
	}
}
