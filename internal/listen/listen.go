// Package listen listens, whichever families of addresses a machine has.
package listen

import "net"

// Here listens on a free port of 127.0.0.1, or of ::1 on a machine without
// IPv4.
func Here() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if six, bad := net.Listen("tcp", "[::1]:0"); bad == nil {
			return six, nil
		}
	}
	return l, err
}

// At is net.Listen for a machine without IPv4 too: there net.Listen would take
// every address of the machine (an empty host, or ::) for every IPv4 one.
func At(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err == nil && (host == "" || host == "::") && !hasIPv4() {
		return net.Listen("tcp6", addr)
	}
	return net.Listen("tcp", addr)
}

func hasIPv4() bool {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}
