// Package loopback listens on this machine alone, whichever families of
// addresses it has.
package loopback

import "net"

// Listen listens on a free port of 127.0.0.1, or of ::1 on a machine without
// IPv4.
func Listen() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if six, bad := net.Listen("tcp", "[::1]:0"); bad == nil {
			return six, nil
		}
	}
	return l, err
}
