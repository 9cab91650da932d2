package hook

import (
	"context"
	"errors"
	"net/netip"
	"syscall"
)

// errFar: the address is not of this network.
var errFar = errors.New("the address is outside this network, and what is to be sent belongs on no other")

// shared is carriers' address space (RFC 6598), which some clusters use inside.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// Reach says to which addresses a Client connects. It is judged by the address
// that a name led to.
type Reach int

const (
	Anywhere Reach = iota
	Near           // this machine and private networks
	Here           // this machine
	Routed         // all but link-local addresses, where clouds hand out a machine's credentials
)

// allow is a net.Dialer's ControlContext.
func (r Reach) allow(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errFar
	}
	a := at.Addr().Unmap()
	if r == Routed && !a.IsLinkLocalUnicast() {
		return nil
	}
	if a.IsLoopback() || r == Near && (a.IsPrivate() || shared.Contains(a)) {
		return nil
	}
	return errFar
}
