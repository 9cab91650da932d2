// Package release knows which Satchel this is.
package release

// Version is the release this tree leads to; CHANGELOG.md tells what is in it.
// The build may set it (-ldflags "-X satchel/internal/release.Version=…").
var Version = "0.5.1"
