//go:build !race

// Package race tells tests that measure memory whether the race detector is
// built in: it allocates beside everything that is measured.
package race

// Enabled says whether the race detector is built in.
const Enabled = false
