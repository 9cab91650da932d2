package store

import "golang.org/x/sys/unix"

// refuseNetwork is an error where dir is on a network filesystem.
func refuseNetwork(dir string) error {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return dirError("open", dir, err)
	}
	return networkError(dir, uint32(s.Type))
}
