//go:build e2e

package e2e

import (
	"fmt"
	"testing"
)

// memoryResult is what the hookserver took at most.
type memoryResult struct {
	Load  string `json:"load"`
	Bytes int64  `json:"bytes"`
}

// TestBenchStormMemory: what the hookserver holds while many students have
// their first login in course L at once.
func TestBenchStormMemory(t *testing.T) {
	fmt.Println()
}
